import type { LinkStream } from "./link-stream.js";

interface Waiting<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

const done: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });

/**
 * The messages that come in on a stream, decoded as they are read. The other side gets room again when all that has come
 * is read, so that nobody is ahead by more than a window.
 */
export class MessageInbox<T> implements AsyncIterableIterator<T, undefined> {
  readonly #stream: () => LinkStream;
  readonly #decode: (bytes: Uint8Array) => T;
  readonly #onLeave: (() => void) | undefined;
  #messages: Uint8Array[] = [];
  #read = 0;
  #end: { readonly error: unknown; readonly failed: boolean } | undefined;
  #waiting: Waiting<T>[] = [];

  /** @param onLeave called if the reader has had enough before the end */
  constructor(stream: () => LinkStream, decode: (bytes: Uint8Array) => T, onLeave?: () => void) {
    this.#stream = stream;
    this.#decode = decode;
    this.#onLeave = onLeave;
  }

  /** Adds a message; a copy is kept. */
  push(bytes: Uint8Array): void {
    if (this.#end !== undefined) return this.#stream().consume();
    this.#messages.push(plainCopy(bytes));
    this.#serve();
  }

  /** No message follows. */
  end(): void {
    this.#close({ error: undefined, failed: false });
  }

  /** The reader gets what is there, then the error. */
  fail(error: unknown): void {
    this.#close({ error, failed: true });
  }

  /** The reader gets the error at once. */
  cut(error: unknown): void {
    if (this.#end?.failed === true) return;
    this.#drop();
    this.#end = undefined;
    this.fail(error);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#serve();
    });
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    const early = this.#end === undefined;
    this.#end = { error: undefined, failed: false };
    this.#drop();
    this.#serve();
    if (early) this.#onLeave?.();
    return done;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const bytes = this.#messages[this.#read];
      if (bytes !== undefined) this.#give(bytes);
      else if (this.#end !== undefined) this.#giveEnd(this.#end);
      else return;
    }
  }

  #give(bytes: Uint8Array): void {
    const reader = this.#waiting.shift();
    this.#read += 1;
    if (this.#read === this.#messages.length) this.#drop();
    let value: T;
    try {
      value = this.#decode(bytes);
    } catch (error) {
      reader?.reject(error);
      return;
    }
    reader?.resolve({ done: false, value });
  }

  #giveEnd({ error, failed }: { readonly error: unknown; readonly failed: boolean }): void {
    const reader = this.#waiting.shift();
    if (!failed) return reader?.resolve(done);
    // Once: who reads on finds the end.
    this.#end = { error: undefined, failed: false };
    reader?.reject(error);
  }

  #drop(): void {
    this.#messages = [];
    this.#read = 0;
    this.#stream().consume();
  }

  #close(end: { readonly error: unknown; readonly failed: boolean }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#serve();
  }
}

/** Messages keep parts of what they are read from: plain bytes, which do not hold the chunk that they came in. */
export function plainCopy(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  return copy;
}
