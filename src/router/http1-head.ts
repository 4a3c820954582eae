import type { FieldList } from "../http/exchange.js";
import { fieldValue } from "../http/field-list.js";

/** What is wrong with an answer's head or framing, for people. */
export class AnswerFault extends Error {}

/** The provider began with a frame of HTTP/2, so that it cannot have understood anything. */
export class SpeaksHttp2 extends AnswerFault {
  constructor() {
    super("the provider speaks HTTP/2 only");
  }
}

/** How the length of an answer's body is known (RFC 9112, 6.3). */
export type BodyFraming =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "until-close" };

/** The head of one answer. */
export interface AnswerHead {
  readonly status: number;
  readonly fields: FieldList;
  readonly framing: BodyFraming;
  /** Whether the connection may carry another call after this one. */
  readonly keepsAlive: boolean;
  /** Seconds in `Keep-Alive: timeout`; undefined if the provider does not say. */
  readonly keepAlive: string | undefined;
}

// Everything that may not stand in a head, in which lines end with CRLF and nothing else.
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are looked for.
const illegal = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?:[^\r]|^)\n/;
const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: .*)?$/;

// The characters of a token (RFC 9110, 5.6.2).
const isTokenCode = new Uint8Array(128);
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
  isTokenCode[char.charCodeAt(0)] = 1;
}

function isToken(text: string, from: number, to: number): boolean {
  if (to <= from) return false;
  for (let at = from; at < to; at++) if (isTokenCode[text.charCodeAt(at)] !== 1) return false;
  return true;
}

/**
 * Reads the field lines of a head or of trailers, without the empty line behind them. Names become lower-case.
 *
 * @param text the bytes as Latin-1
 * @throws AnswerFault
 */
export function parseFieldLines(text: string, from: number): string[] {
  if (illegal.test(text)) throw new AnswerFault("a line has control characters, or does not end with CRLF");
  const fields: string[] = [];
  let at = from;
  while (at < text.length) {
    const next = text.indexOf("\r\n", at);
    const end = next === -1 ? text.length : next;
    const colon = text.indexOf(":", at);
    // A line that begins with a space would go on with the line before it, which is obsolete and dangerous.
    if (colon === -1 || colon > end || !isToken(text, at, colon)) throw new AnswerFault("a field has no valid name");
    fields.push(text.slice(at, colon).toLowerCase(), trimmed(text, colon + 1, end));
    at = end + 2;
  }
  return fields;
}

/** The part of a text without spaces and tabs at either end. */
function trimmed(text: string, from: number, to: number): string {
  let begin = from;
  let end = to;
  while (begin < end && isBlank(text.charCodeAt(begin))) begin++;
  while (end > begin && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(begin, end);
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

/**
 * Reads the head of an answer.
 *
 * @param text from the status line to before the empty line, as Latin-1
 * @param method of the request that it answers
 * @throws AnswerFault
 */
export function parseAnswerHead(text: string, method: string): AnswerHead {
  const lineEnd = text.indexOf("\r\n");
  const line = lineEnd === -1 ? text : text.slice(0, lineEnd);
  const match = statusLine.exec(line);
  if (match === null) throw new AnswerFault(`the status line ${JSON.stringify(line.slice(0, 40))} is not HTTP/1.1`);
  const isHttp11 = match[1] === "1";
  const status = Number(match[2]);
  const fields = parseFieldLines(text, line.length + 2);
  const framing = framingOf(fields, status, method, isHttp11);
  const connection = fieldValue(fields, "connection");
  const closes =
    !isHttp11 ||
    framing.kind === "until-close" ||
    (connection !== undefined && /(?:^|[,\s])close(?:$|[,\s])/i.test(connection));
  return { status, fields, framing, keepsAlive: !closes, keepAlive: fieldValue(fields, "keep-alive") };
}

const none: BodyFraming = { kind: "none" };
const chunked: BodyFraming = { kind: "chunked" };
const untilClose: BodyFraming = { kind: "until-close" };

function framingOf(fields: FieldList, status: number, method: string, isHttp11: boolean): BodyFraming {
  const coding = fieldValue(fields, "transfer-encoding");
  const length = fieldValue(fields, "content-length");
  if (coding !== undefined && length !== undefined) {
    throw new AnswerFault("the answer has both Content-Length and Transfer-Encoding");
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length)) {
    throw new AnswerFault(`the answer's Content-Length is ${JSON.stringify(length.slice(0, 40))}`);
  }
  if (coding !== undefined && (coding.toLowerCase() !== "chunked" || !isHttp11)) {
    throw new AnswerFault(`the answer's Transfer-Encoding is ${JSON.stringify(coding.slice(0, 40))}`);
  }
  if (status < 200 || status === 204 || status === 304 || method === "HEAD") return none;
  if (coding !== undefined) return chunked;
  if (length === undefined) return untilClose;
  const bytes = Number(length);
  return bytes === 0 ? none : { kind: "length", bytes };
}
