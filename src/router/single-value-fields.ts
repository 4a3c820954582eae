import type { FieldList } from "../http/exchange.js";

/**
 * Fields that are defined to come once. HTTP/1.1 peers can repeat them all the same, and node:http2 throws on that.
 */
const single: ReadonlySet<string> = new Set([
  ..."access-control-allow-credentials access-control-max-age access-control-request-method age authorization".split(
    " ",
  ),
  ..."content-encoding content-language content-length content-location content-md5 content-range content-type".split(
    " ",
  ),
  ..."date dnt etag expires from host if-match if-modified-since if-none-match if-range if-unmodified-since".split(" "),
  ..."last-modified location max-forwards proxy-authorization range referer retry-after tk".split(" "),
  ..."upgrade-insecure-requests user-agent x-content-type-options".split(" "),
]);

/** The fields, with only the first of each that may come once. The same list if nothing is repeated. */
export function withoutRepeats(fields: FieldList): string[] {
  let repeated = false;
  for (let i = 2; i < fields.length && !repeated; i += 2) {
    const name = fields[i] as string;
    if (single.has(name)) repeated = fields.indexOf(name) < i && firstIndex(fields, name) < i;
  }
  if (!repeated) return fields as string[];
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!single.has(name) || firstIndex(fields, name) === i) kept.push(name, fields[i + 1] as string);
  }
  return kept;
}

/** Where a name stands first; `indexOf` alone would also find a value that reads like it. */
function firstIndex(fields: FieldList, name: string): number {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return i;
  return -1;
}
