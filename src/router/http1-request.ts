import type { FieldList } from "../http/exchange.js";
import type { UpstreamRequest } from "./upstream.js";

// What would end a line, or a text before its end; everything beyond Latin-1 would lose its upper half.
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are looked for.
const unwritable = /[\0-\x08\x0a-\x1f\x7f]|[^\0-\xff]/;

/** Fields as lines of HTTP/1.1. */
export function fieldLines(fields: FieldList): string {
  let lines = "";
  for (let i = 0; i < fields.length; i += 2) lines += `${fields[i]}: ${fields[i + 1]}\r\n`;
  return lines;
}

/**
 * The head of a request as it goes over an HTTP/1.1 connection, with `Host` and the framing of the body. Undefined if
 * a name or value cannot be written so that it is read as what it is.
 */
export function requestHead(request: UpstreamRequest, authority: string): string | undefined {
  const { fields } = request;
  for (let i = 0; i < fields.length; i++) if (unwritable.test(fields[i] as string)) return undefined;
  const head = `${request.method} ${request.path} HTTP/1.1\r\nhost: ${authority}\r\n${fieldLines(fields)}`;
  if (request.expectsContinue) return `${head}expect: 100-continue\r\n${framing(request)}\r\n`;
  return `${head}${framing(request)}\r\n`;
}

function framing(request: UpstreamRequest): string {
  if (request.length !== undefined) return "";
  if (request.hasBody) return "transfer-encoding: chunked\r\n";
  // Providers of the Go library send and expect an empty message with its length.
  return request.method === "GET" || request.method === "HEAD" ? "" : "content-length: 0\r\n";
}
