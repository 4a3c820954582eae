import type { FieldList } from "../http/exchange.js";
import { notSentField } from "../model/not-sent.js";
import { providerField } from "../model/provider-choice.js";

const trailerPrefix = "trailer-";

/** Whether a field of an answer says what only the host may say: what has reached a provider, and which one. */
export function isHostsAnswer(name: string): boolean {
  if (name.charCodeAt(0) === 0x78) return name === notSentField || name === providerField;
  // So does Connect carry the trailers of a unary call, which its clients put together with the rest.
  return name === `${trailerPrefix}${notSentField}` || name === `${trailerPrefix}${providerField}`;
}

/** What a provider has answered, without what only the host may say. The same list if there is nothing of that. */
export function withoutHostsAnswers(fields: FieldList): FieldList {
  let isClean = true;
  for (let index = 0; index < fields.length && isClean; index += 2) isClean = !isHostsAnswer(fields[index] as string);
  if (isClean) return fields;
  return fields.filter((_, index) => !isHostsAnswer(fields[index - (index % 2)] as string));
}
