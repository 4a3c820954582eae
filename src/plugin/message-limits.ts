import { create, type DescMessage, type Message } from "@bufbuild/protobuf";
import { tooLargeToRead, writeMessage } from "../link/message-codec.js";
import type { InProcessMethod, InProcessServices, MessageRules } from "../model/in-process-services.js";
import { largestMessageBytes } from "./server-options.js";

type Check = (message: unknown) => unknown;

/**
 * The same methods for calls within the process, where messages have no size until somebody asks: with a limit they are
 * measured, so that a plugin does the same there as over a wire. Without one nothing is added.
 */
export function measuredServices(services: InProcessServices, limits: MessageRules): InProcessServices {
  const { readMaxBytes, writeMaxBytes } = limits;
  if (readMaxBytes === largestMessageBytes && writeMaxBytes === largestMessageBytes) return services;
  const measured = new Map<InProcessMethod, InProcessMethod>();
  return {
    find(path) {
      const target = services.find(path);
      if (target === undefined) return undefined;
      let found = measured.get(target);
      if (found === undefined) {
        found = measuredMethod(target, limits);
        measured.set(target, found);
      }
      return found;
    },
  };
}

function measuredMethod(
  target: InProcessMethod,
  { readMaxBytes, writeMaxBytes, jsonOptions }: MessageRules,
): InProcessMethod {
  const { method, implementation } = target;
  const read: Check = (message) => {
    if (readMaxBytes < largestMessageBytes && sizeOf(method.input, message as Message) > readMaxBytes) {
      throw tooLargeToRead(readMaxBytes);
    }
    return message;
  };
  const write: Check = (given) => {
    if (writeMaxBytes === largestMessageBytes) return given;
    const message = create(method.output, given as Message);
    writeMessage(method.output, message, false, { writeMaxBytes, jsonOptions });
    return message;
  };
  const answers = (request: unknown, context: unknown): AsyncIterable<unknown> =>
    checked(implementation(request, context) as AsyncIterable<unknown>, write);
  const measure = (): InProcessMethod["implementation"] => {
    switch (method.methodKind) {
      case "unary":
        return (request, context) => {
          const result = implementation(read(request), context);
          return isPromise(result) ? result.then(write) : write(result);
        };
      case "client_streaming":
        return async (requests, context) =>
          write(await implementation(checked(requests as AsyncIterable<unknown>, read), context));
      case "server_streaming":
        return (request, context) => answers(read(request), context);
      case "bidi_streaming":
        return (requests, context) => answers(checked(requests as AsyncIterable<unknown>, read), context);
    }
  };
  return { ...target, implementation: measure() };
}

const sizeOf = (type: DescMessage, message: Message): number => writeMessage(type, message, false).length;

/** The same messages, each checked as it comes. What is behind one that is refused is given up. */
const checked = (messages: AsyncIterable<unknown>, check: Check): AsyncIterable<unknown> => ({
  [Symbol.asyncIterator]() {
    const iterator = messages[Symbol.asyncIterator]();
    return {
      async next() {
        const next = await iterator.next();
        if (next.done === true) return next;
        try {
          return { done: false, value: check(next.value) };
        } catch (error) {
          try {
            await iterator.return?.();
          } catch {
            // The caller is told of the size.
          }
          throw error;
        }
      },
      ...(iterator.return && { return: (value: unknown) => forward(iterator, "return", value) }),
      ...(iterator.throw && { throw: (error: unknown) => forward(iterator, "throw", error) }),
    };
  },
});

const forward = (
  iterator: AsyncIterator<unknown>,
  how: "return" | "throw",
  value: unknown,
): Promise<IteratorResult<unknown>> =>
  (iterator[how] as (value: unknown) => Promise<IteratorResult<unknown>>).call(iterator, value);

const isPromise = (value: unknown): value is Promise<unknown> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
