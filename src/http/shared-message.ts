import type { Message } from "@bufbuild/protobuf";

const forms: unique symbol = Symbol("forms");

/** What a message looks like on the wire, by the object that wrote it. */
export type WireForms = Map<object, Buffer | Promise<Buffer>>;

/**
 * Says that a message goes to many callers and is never changed any more, and returns it: calls that do not go through
 * Connect's own handlers write it once for each codec and compression, and send the same bytes to everybody.
 */
export function shareMessage<T extends Message>(message: T): T {
  return Object.defineProperty(message, forms, { value: new Map() satisfies WireForms });
}

/** Where the bytes of a shared message are kept; undefined for any other. */
export const wireFormsOf = (message: Message): WireForms | undefined =>
  (message as Message & { readonly [forms]?: WireForms })[forms];
