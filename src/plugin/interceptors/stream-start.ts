import type { Message } from "@bufbuild/protobuf";
import type { StreamResponse } from "@connectrpc/connect";

/** Reads the request of a server stream; each call of the result gives it anew. */
export async function oneMessage<T extends Message>(given: AsyncIterable<T>): Promise<() => AsyncIterable<T>> {
  const all: T[] = [];
  for await (const message of given) all.push(message);
  return async function* () {
    yield* all;
  };
}

/**
 * The same messages, for one attempt. `onStart` is told when somebody begins to take them; who leaves before that, as a transport
 * does that cannot send, has taken none, and another attempt finds all of them.
 */
export async function* tellingStart<T>(messages: AsyncIterable<T>, onStart: () => void): AsyncGenerator<T> {
  onStart();
  yield* messages;
}

/** Resolves when the stream's first message is there, or its end. @throws what comes in place of the first message */
export async function peeked(response: StreamResponse): Promise<StreamResponse> {
  const messages = response.message[Symbol.asyncIterator]();
  let first: IteratorResult<Message> | undefined = await messages.next();
  const message: AsyncIterableIterator<Message> = {
    [Symbol.asyncIterator]: () => message,
    next() {
      const result = first;
      first = undefined;
      return result === undefined ? messages.next() : Promise.resolve(result);
    },
    return: (value) => messages.return?.(value) ?? Promise.resolve({ done: true, value }),
  };
  return { ...response, message };
}
