import type { FieldList } from "../http/exchange.js";
import { isHopByHop, namedByConnection, passedTrailers } from "./hop-by-hop.js";
import { isHostsAnswer } from "./hosts-answer.js";
import { withoutRepeats } from "./single-value-fields.js";

/**
 * The fields of a provider's answer as the caller gets them: nothing that belongs to the provider's connection, and this
 * host in `Via`.
 *
 * @param viaOwn see `viaEntry`; undefined for a 1xx answer, which gets no `Via`
 * @param trailersPossible whether trailers may follow the body towards the caller
 */
export function responseFields(fields: FieldList, viaOwn: string | undefined, trailersPossible: boolean): string[] {
  const named = namedByConnection(fields);
  const out: string[] = [];
  let via: string | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (name === "via" && viaOwn !== undefined) {
      via = via === undefined ? value : `${via}, ${value}`;
      continue;
    }
    if (name === "trailer" && !trailersPossible) continue;
    if (isHostsAnswer(name)) continue;
    if (isHopByHop(name) || name.startsWith(":") || named?.has(name) === true) continue;
    out.push(name, value);
  }
  if (viaOwn !== undefined) out.push("via", via === undefined ? viaOwn : `${via}, ${viaOwn}`);
  return withoutRepeats(out);
}

/** The trailers towards the caller. `head` are the fields of the provider's head. */
export const responseTrailers = (trailers: FieldList, head: FieldList): FieldList =>
  passedTrailers(trailers, head, isHostsAnswer);

/** How many 1xx answers a provider may send before the answer of one call: nobody can hold them back for a slow caller. */
export const maxInformational = 64;

/**
 * Whether a 1xx answer goes on to the caller (RFC 9110, 15.2): not `100`, which the host says to its caller itself, and
 * not `101`, which ends HTTP on a connection.
 */
export const isPassedInformational = (status: number): boolean => status !== 100 && status !== 101;
