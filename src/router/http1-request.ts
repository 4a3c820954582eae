import type { FieldList } from "../http/exchange.js";
import type { UpstreamRequest } from "./upstream.js";

// What a text must not have that goes out byte for byte: control characters, line ends apart, and what is beyond Latin-1.
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are looked for.
const unwritable = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|[^\0-\xff]|\r(?!\n)/;

function countLines(text: string): number {
  let lines = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}

// Line ends are counted, because one inside of a value would make two fields of it: one look at all of a text is cheaper than
// one at each value.
const isWritable = (text: string, lines: number): boolean => !unwritable.test(text) && countLines(text) === lines;

function fieldLines(fields: FieldList): string {
  let lines = "";
  for (let i = 0; i < fields.length; i += 2) lines += `${fields[i]}: ${fields[i + 1]}\r\n`;
  return lines;
}

/** Trailers as lines of HTTP/1.1; undefined if one of them cannot be written so that it is read as what it is. */
export function trailerLines(trailers: FieldList): string | undefined {
  if (trailers.length === 0) return "";
  const lines = fieldLines(trailers);
  return isWritable(lines, trailers.length / 2) ? lines : undefined;
}

/**
 * The head of a request as it goes over an HTTP/1.1 connection, with `Host` and the framing of the body. Undefined if
 * a name or value cannot be written so that it is read as what it is.
 */
export function requestHead(request: UpstreamRequest, authority: string): string | undefined {
  const rest = framing(request);
  const head = `${request.method} ${request.path} HTTP/1.1\r\nhost: ${authority}\r\n${fieldLines(request.fields)}${rest}\r\n`;
  return isWritable(head, 3 + request.fields.length / 2 + countLines(rest)) ? head : undefined;
}

function framing(request: UpstreamRequest): string {
  const expects = request.expectsContinue ? "expect: 100-continue\r\n" : "";
  if (request.length !== undefined) return expects;
  if (request.hasBody) return `${expects}transfer-encoding: chunked\r\n`;
  // Providers of the Go library send and expect an empty message with its length.
  return request.method === "GET" || request.method === "HEAD" ? "" : "content-length: 0\r\n";
}
