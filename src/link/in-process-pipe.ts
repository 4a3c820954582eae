import { type Deferred, deferred } from "../internal/deferred.js";

/** How many messages one side may be ahead of the other. */
const room = 16;

/** Messages on their way from one writer to one reader, in order. The writer waits while too many are unread. */
export class MessagePipe<T> implements AsyncIterableIterator<T> {
  readonly #messages: T[] = [];
  #end: { readonly error: unknown; readonly failed: boolean } | undefined;
  #left = false;
  #hasNews: Deferred<void> | undefined;
  #hasRoom: Deferred<void> | undefined;

  /** Whether nothing that is put in is read any more. */
  get isClosed(): boolean {
    return this.#left || this.#end !== undefined;
  }

  /** Puts a message in. Undefined if there is room for another; otherwise wait, and look at `isClosed` then. */
  put(message: T): Promise<void> | undefined {
    if (this.isClosed) return undefined;
    this.#messages.push(message);
    this.#tellReader();
    if (this.#messages.length < room) return undefined;
    this.#hasRoom ??= deferred();
    return this.#hasRoom.promise;
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
    this.#messages.length = 0;
    this.#end = undefined;
    this.fail(error);
  }

  async next(): Promise<IteratorResult<T>> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        this.#tellWriter();
        return { done: false, value: message };
      }
      if (this.#end?.failed === true) {
        const { error } = this.#end;
        // Once: who reads on finds the end.
        this.#end = { error: undefined, failed: false };
        throw error;
      }
      if (this.isClosed) return { done: true, value: undefined };
      this.#hasNews ??= deferred();
      await this.#hasNews.promise;
    }
  }

  /** The reader has had enough. */
  async return(): Promise<IteratorResult<T>> {
    this.#left = true;
    this.#messages.length = 0;
    this.#tellWriter();
    this.#tellReader();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #close(end: { readonly error: unknown; readonly failed: boolean }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#tellReader();
    this.#tellWriter();
  }

  #tellReader(): void {
    this.#hasNews?.resolve();
    this.#hasNews = undefined;
  }

  #tellWriter(): void {
    this.#hasRoom?.resolve();
    this.#hasRoom = undefined;
  }
}
