import { type DescMessage, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import type { ConnectError, StreamRequest, UnaryRequest } from "@connectrpc/connect";

type Request = UnaryRequest | StreamRequest;

/**
 * What a call gives to be sent. Transports wrap its errors in their own, with codes that providers have, too; here they are told from
 * those of a provider.
 */
export class Outgoing {
  readonly #request: Request;
  /** The last one that was taken: with the first that cannot be written a call is over. */
  #last: Message | undefined;
  #hasThrown = false;

  constructor(request: Request) {
    this.#request = request;
    if (!request.stream) this.#last = request.message;
  }

  /** Whether the caller's own messages have thrown. */
  get hasThrown(): boolean {
    return this.#hasThrown;
  }

  /** The same messages, watched as they are taken. */
  watched<T extends Message>(messages: AsyncIterable<T>): AsyncIterable<T> {
    return { [Symbol.asyncIterator]: () => this.#watched(messages[Symbol.asyncIterator]()) };
  }

  /** Whether `error` is that a message has a value that cannot be written. */
  isUnwritable(error: ConnectError): boolean {
    if (this.#last === undefined) return false;
    const { method, header } = this.#request;
    try {
      write(method.input, this.#last, header.get("content-type")?.includes("json") === true);
      return false;
    } catch (thrown) {
      // A provider may have failed with what another format could not have sent.
      return thrown instanceof Error && error.rawMessage.includes(thrown.message);
    }
  }

  #watched<T extends Message>(messages: AsyncIterator<T>): AsyncIterator<T> {
    return {
      next: async () => {
        try {
          const result = await messages.next();
          if (result.done !== true) this.#last = result.value;
          return result;
        } catch (error) {
          // Who ends because the call is over is not why it is.
          if (!this.#request.signal.aborted) this.#hasThrown = true;
          throw error;
        }
      },
      ...(messages.return && { return: (value) => (messages.return as NonNullable<typeof messages.return>)(value) }),
      ...(messages.throw && { throw: (error) => (messages.throw as NonNullable<typeof messages.throw>)(error) }),
    };
  }
}

function write(desc: DescMessage, message: Message, asJson: boolean): void {
  if (asJson) toJsonString(desc, message);
  else toBinary(desc, message);
}
