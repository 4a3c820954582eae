import { createContextKey, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { providerField } from "../../model/provider-choice.js";

const isThroughHost = createContextKey(false, { description: "a host of plugins chooses the provider" });

/** Marks the calls of a client whose providers a host chooses: others get no field that only a host understands. */
export const throughHost: Interceptor = (next) => (request) => {
  request.contextValues.set(isThroughHost, true);
  return next(request);
};

/** Whether a host chooses who gets the call. */
export const goesThroughHost = ({ contextValues }: UnaryRequest | StreamRequest): boolean =>
  contextValues.get(isThroughHost);

// As a runtime id may stand in a list of those to be avoided.
const usableId = /^[!-+\--~]{1,256}$/;

/** Who was asked, by the fields of an answer or the metadata of an error; undefined if the host has not said. */
export function toldProvider(fields: Headers): string | undefined {
  const told = fields.get(providerField);
  return told !== null && usableId.test(told) ? told : undefined;
}
