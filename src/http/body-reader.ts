import type { Readable } from "node:stream";

/** The body broke off: the caller is gone, or the rest is being dropped because the answer is complete. */
export class BodyCutError extends Error {
  override readonly name = "BodyCutError";

  constructor() {
    super("the request ended before its body was complete");
  }
}

const end: IteratorResult<Uint8Array, undefined> = Object.freeze({ done: true, value: undefined });

interface Waiting {
  resolve(result: IteratorResult<Uint8Array, undefined>): void;
  reject(error: unknown): void;
}

/**
 * Reads a request's body chunk by chunk. Unlike the iterator of a Node stream it does not destroy the stream when its
 * reader stops early, since that would take the answer along. One `next` at a time.
 */
export class BodyReader implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #body: Readable;
  #waiting: Waiting | undefined;
  #state: "new" | "reading" | "stopped" = "new";
  readonly #pull = (): void => this.#advance();

  constructor(body: Readable) {
    this.#body = body;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#state === "stopped") return Promise.resolve(end);
    if (this.#state === "new") this.#start();
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#advance();
    });
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#stop();
    this.#waiting?.resolve(end);
    this.#waiting = undefined;
    return Promise.resolve(end);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #start(): void {
    this.#state = "reading";
    this.#body.on("readable", this.#pull).on("end", this.#pull).on("close", this.#pull).on("error", this.#pull);
  }

  #stop(): void {
    this.#state = "stopped";
    const body = this.#body;
    body.off("readable", this.#pull).off("end", this.#pull).off("close", this.#pull);
    // The error listener stays: an error that nobody listens to would end the process.
  }

  #advance(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const body = this.#body;
    const chunk: Buffer | null = body.destroyed ? null : body.read();
    if (chunk !== null) {
      this.#waiting = undefined;
      waiting.resolve({ done: false, value: chunk });
    } else if (body.readableEnded) {
      this.#waiting = undefined;
      this.#stop();
      waiting.resolve(end);
    } else if (body.destroyed) {
      this.#waiting = undefined;
      this.#stop();
      waiting.reject(new BodyCutError());
    }
  }
}
