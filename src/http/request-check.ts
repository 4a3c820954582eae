import { type IncomingMessage, METHODS } from "node:http";
import type { IncomingHttpHeaders } from "node:http2";
import type { FieldList, ServerExchange } from "./exchange.js";
import { hasField, noFields } from "./field-list.js";
import type { HttpServerLimits } from "./server-limits.js";

/** Why a request is refused before any handler sees it. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

/** The limits that a head is held to here. Its size over HTTP/1.1 is counted by the parser. */
export type HeadLimits = Readonly<Required<Pick<HttpServerLimits, "maxHeaderCount" | "maxUrlBytes">>>;

/** What a field of HTTP/2 counts beside its name and its value (RFC 9113, 6.5.2). */
export const fieldOverheadBytes = 32;

const refusal = (status: number, message: string): Refusal => Object.freeze({ status, message });

const badVersion = refusal(505, "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here");
const unknownMethod = refusal(501, "the method is not supported");
const tooManyFields = refusal(431, "the request has too many header fields");
const tooManyBytes = refusal(431, "the request's head is too large");
const oneHost = refusal(400, "the request must name one host");
const badHost = refusal(400, "the host of the request is not valid");
const badScheme = refusal(400, "the scheme must be http or https");
const badCoding = refusal(400, "the only transfer coding that is supported is chunked, over HTTP/1.1");
const badExpectation = refusal(417, "the only expectation that is supported is 100-continue");
const notRooted = refusal(400, "the request target must begin with a slash");
const notEscaped = refusal(400, "the request target must be escaped and must not have a fragment");
const urlTooLong = refusal(414, "the URL is too long");

const continueExpected = /(?:^|\W)100-continue(?:$|\W)/i;

// HTTP/1.1 has no other methods: its parser refuses them. HTTP/2 would let any text through.
const methods: ReadonlySet<string> = new Set(METHODS.filter((method) => method !== "CONNECT" && method !== "TRACE"));

function targetRefusal(method: string, target: string, maxBytes: number): Refusal | undefined {
  if (target === "*" && method === "OPTIONS") return undefined;
  if (target.length > maxBytes) return urlTooLong;
  if (target.charCodeAt(0) !== 47) return notRooted;
  for (let index = 0; index < target.length; index++) {
    const code = target.charCodeAt(index);
    if (code <= 32 || code >= 127 || code === 35) return notEscaped;
  }
  return undefined;
}

/** Whether two programs could read two different hosts in this: lists, user names, paths, and what is not ASCII. */
function isBadHost(host: string): boolean {
  for (let index = 0; index < host.length; index++) {
    const code = host.charCodeAt(index);
    // Space and below, and `"`, `#`, `,`, `/`, `<` to `@` without `=`, `\`, `^`, `` ` ``, `{` to DEL, and above.
    if (code <= 0x23) {
      if (code !== 0x21) return true;
    } else if (code >= 0x7b) {
      if (code !== 0x7e) return true;
    } else if (code === 0x2c || code === 0x2f || code === 0x5c || code === 0x5e || code === 0x60) return true;
    else if (code >= 0x3c && code <= 0x40 && code !== 0x3d) return true;
  }
  return false;
}

function commonRefusal(
  method: string,
  target: string,
  expect: string | undefined,
  { maxUrlBytes }: HeadLimits,
): Refusal | undefined {
  if (!methods.has(method)) return unknownMethod;
  if (expect !== undefined && !continueExpected.test(expect)) return badExpectation;
  return targetRefusal(method, target, maxUrlBytes);
}

/**
 * Refuses a request of HTTP/1.x that no handler of ours can serve, or that two programs in a row could understand
 * differently. Node's parser has refused what it knows to be wrong; it shows only the first of several `Host` fields,
 * knows transfer codings that nobody here decodes, and accepts version numbers that are of no protocol it speaks.
 *
 * @param expect the request's expectation, if nobody has seen to it
 */
export function http1Refusal(
  req: Pick<IncomingMessage, "method" | "url" | "httpVersionMajor" | "httpVersionMinor" | "rawHeaders">,
  limits: HeadLimits,
  expect: string | undefined,
): Refusal | undefined {
  const { rawHeaders } = req;
  if (req.httpVersionMajor !== 1) return badVersion;
  if (rawHeaders.length > 2 * limits.maxHeaderCount) return tooManyFields;
  let hosts = 0;
  let codings = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    // Lengths that few names have; no other field is looked at.
    if (name.length === 4) {
      if (name !== "Host" && name !== "host" && name.toLowerCase() !== "host") continue;
      hosts += 1;
      if (hosts > 1) return oneHost;
      if (isBadHost(rawHeaders[index + 1] as string)) return badHost;
    } else if (name.length === 17 && name.toLowerCase() === "transfer-encoding") {
      codings += 1;
      const coding = rawHeaders[index + 1] as string;
      if (codings > 1 || req.httpVersionMinor === 0 || coding.toLowerCase() !== "chunked") return badCoding;
    }
  }
  if (hosts === 0 && req.httpVersionMinor !== 0) return oneHost;
  return commonRefusal(req.method ?? "", req.url ?? "", expect, limits);
}

/**
 * The same for HTTP/2, where a `host` field that says the same as `:authority` does not count.
 *
 * @param maxHeaderBytes size of the head, counted as HTTP/2 does
 */
export function http2Refusal(
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
  limits: HeadLimits,
  maxHeaderBytes = Number.POSITIVE_INFINITY,
): Refusal | undefined {
  let hosts = 0;
  let fields = 0;
  let bytes = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    bytes += name.length + (rawHeaders[index + 1] as string).length + fieldOverheadBytes;
    if (name.charCodeAt(0) === 58) continue;
    fields += 1;
    if (name === "host") hosts += 1;
  }
  if (fields > limits.maxHeaderCount) return tooManyFields;
  if (bytes > maxHeaderBytes) return tooManyBytes;
  const { ":authority": authority, ":scheme": scheme } = headers;
  if (hosts > 1) return oneHost;
  if (hosts === 1 && authority !== undefined && authority.toLowerCase() !== headers.host?.toLowerCase()) return oneHost;
  if (isBadHost(authority ?? headers.host ?? "")) return badHost;
  // Behind a proxy that ends TLS, `https` may well come in cleartext.
  if (scheme !== undefined && scheme !== "http" && scheme !== "https") return badScheme;
  return commonRefusal(String(headers[":method"] ?? ""), String(headers[":path"] ?? ""), headers.expect, limits);
}

/** Answers with a status and a short text, for faults below any protocol that a caller speaks over HTTP. */
export function answerPlain(
  exchange: ServerExchange,
  status: number,
  message: string,
  fields: FieldList = noFields,
): void {
  if (exchange.ended !== undefined || exchange.responded) return;
  const body = Buffer.from(`${message}\n`);
  const own = ["content-type", "text/plain; charset=utf-8", "content-length", String(body.length)];
  const others = fields.filter((_, index) => !hasField(own, fields[index - (index % 2)] ?? ""));
  exchange.reply(status, [...own, ...others], body);
}
