import type { FieldList } from "../http/exchange.js";

/** Fields that belong to one connection and never pass a proxy (RFC 9110, 7.6.1), `te` apart. */
const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "te",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

/** Fields that must not come as trailers: they frame or route a message. */
const notInTrailers: ReadonlySet<string> = new Set([
  "content-length",
  "trailer",
  "host",
  "content-encoding",
  "content-type",
]);

export const isHopByHop = (name: string): boolean => hopByHop.has(name);

/** The names, in lower case, that a message's `Connection` fields declare to be hop-by-hop. Undefined if there are none. */
export function namedByConnection(fields: FieldList): ReadonlySet<string> | undefined {
  let named: Set<string> | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "connection") continue;
    const value = (fields[i + 1] as string).toLowerCase();
    // By far the most frequent values, which name no field.
    if (value === "keep-alive" || value === "close") continue;
    named ??= new Set();
    for (const name of value.split(",")) named.add(name.trim());
    // Not hop-by-hop whatever anybody says: without its length a body would be read as the next message.
    named.delete("content-length");
  }
  return named;
}

/** The trailers of a message as they go on to the other side. */
export function passedTrailers(trailers: FieldList): FieldList {
  let clean = true;
  for (let i = 0; i < trailers.length; i += 2) {
    const name = trailers[i] as string;
    if (hopByHop.has(name) || notInTrailers.has(name) || name.startsWith(":")) clean = false;
  }
  if (clean) return trailers;
  const passed: string[] = [];
  for (let i = 0; i < trailers.length; i += 2) {
    const name = trailers[i] as string;
    if (!hopByHop.has(name) && !notInTrailers.has(name) && !name.startsWith(":"))
      passed.push(name, trailers[i + 1] as string);
  }
  return passed;
}
