import type { FieldList } from "../http/exchange.js";
import { noFields } from "../http/field-list.js";

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

/** Fields that must not come as trailers: they frame or route a message, or carry credentials (RFC 9110, 6.5.1). */
const notInTrailers: ReadonlySet<string> = new Set([
  "content-length",
  "trailer",
  "host",
  "content-encoding",
  "content-type",
  "authorization",
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

/**
 * The trailers of a message without what belongs to one connection, frames or routes it, or carries credentials.
 *
 * @param head the fields of the message's head, of which `Connection` may name some
 * @param isClaim whether a field says what only the host may say
 */
export function passedTrailers(
  trailers: FieldList,
  head: FieldList = noFields,
  isClaim?: (name: string) => boolean,
): FieldList {
  if (trailers.length === 0) return trailers;
  const named = namedByConnection(head);
  const passes = (name: string): boolean =>
    !hopByHop.has(name) &&
    !notInTrailers.has(name) &&
    !name.startsWith(":") &&
    named?.has(name) !== true &&
    isClaim?.(name) !== true;
  let isClean = true;
  for (let i = 0; i < trailers.length && isClean; i += 2) isClean = passes(trailers[i] as string);
  return isClean ? trailers : trailers.filter((_, index) => passes(trailers[index - (index % 2)] as string));
}
