// More than a call sends before a refusal is back. What is kept is held twice, here and in the outbox.
const keptBytesMax = 65_536;

/** What a caller sends, which can be sent once more from its beginning as long as little was taken. */
export class ReplayableInput<T> {
  readonly #messages: AsyncIterator<T>;
  /** What was taken so far; undefined when it is too much, or nobody will ask for it. */
  #kept: T[] | undefined = [];
  #keptBytes = 0;
  /** Asked for and not taken. It is the end for good once it has come to that. */
  #next: Promise<IteratorResult<T>> | undefined;
  #isReplayed = false;

  constructor(messages: AsyncIterable<T>) {
    this.#messages = messages[Symbol.asyncIterator]();
  }

  /** Whether the rest goes by another way now. */
  get isReplayed(): boolean {
    return this.#isReplayed;
  }

  /** The next message, or the end. */
  next(): Promise<IteratorResult<T>> {
    this.#next ??= this.#messages.next();
    return this.#next;
  }

  /** The message of the last `next` was taken, as so many bytes. */
  took(message: T, bytes: number): void {
    this.#next = undefined;
    this.#keptBytes += bytes;
    if (this.#keptBytes > keptBytesMax) this.#kept = undefined;
    this.#kept?.push(message);
  }

  /** Nobody will ask for it from the beginning. */
  forget(): void {
    this.#kept = undefined;
  }

  /** Everything from the beginning, for somebody else to take; undefined if the beginning is not there any more. */
  replay(): AsyncIterable<T> | undefined {
    const kept = this.#kept;
    if (kept === undefined || this.#isReplayed) return undefined;
    this.#isReplayed = true;
    this.#kept = undefined;
    return this.#from(kept);
  }

  /** Nothing more is wanted. */
  close(): void {
    const closing = this.#messages.return?.();
    // A caller's own clean-up is for nobody else to report.
    closing?.catch(() => {});
  }

  async *#from(kept: readonly T[]): AsyncGenerator<T> {
    let isLeft = true;
    try {
      yield* kept;
      for (;;) {
        isLeft = false;
        const next = await this.next();
        if (next.done === true) return;
        isLeft = true;
        this.#next = undefined;
        yield next.value;
      }
    } finally {
      if (isLeft) this.close();
    }
  }
}
