import type { Readable } from "node:stream";
import type { Clock, Timer } from "../internal/clock.js";

/** How much of a request is read and dropped after its answer. */
export interface DrainLimits {
  /** Bytes that are dropped at the most. */
  readonly maxBytes: number;
  /** How long the caller may take to send them, counted from the end of the answer. */
  readonly timeoutMs: number;
  /**
   * How long a caller that sends more is left to read its answer, with nothing read from it: where the end of a request is
   * the end of its connection, that destroys what the other side has not read. @default 0
   */
  readonly lingerMs?: number;
}

/**
 * Reads and drops what is left of a request whose answer is complete, so that the connection goes on and
 * a caller who sends everything before it reads the answer does not wait for ever. Until the answer has left
 * (`answerSent`) nothing is cut: the caller may want to read it first.
 */
export class RequestDrain {
  readonly #body: Readable;
  readonly #limits: DrainLimits;
  readonly #clock: Clock;
  readonly #done: (exceeded: boolean) => void;
  #bytes = 0;
  #timer: Timer | undefined;
  #answerSent = false;
  #over = false;

  /** `done` is called once: with true if a limit was reached and the caller is still sending. */
  constructor(body: Readable, limits: DrainLimits, clock: Clock, done: (exceeded: boolean) => void) {
    this.#body = body;
    this.#limits = limits;
    this.#clock = clock;
    this.#done = done;
    // Whoever read the body until now gets nothing more, and must not hold it up.
    body.unpipe();
    body.removeAllListeners("readable");
    body.removeAllListeners("data");
    body.on("data", (chunk: Buffer) => this.#count(chunk.length));
    body.once("end", () => this.#finish(false));
    body.once("close", () => this.#finish(false));
    body.resume();
  }

  /** The answer is on its way; from now on the limits count. Idempotent. */
  answerSent(): void {
    if (this.#answerSent || this.#over) return;
    this.#answerSent = true;
    if (this.#bytes > this.#limits.maxBytes) this.#linger();
    else this.#timer = this.#clock.after(this.#limits.timeoutMs, () => this.#finish(true));
  }

  /** Stops the timer. */
  cancel(): void {
    this.#over = true;
    this.#timer?.cancel();
  }

  #count(length: number): void {
    this.#bytes += length;
    if (this.#over || this.#bytes <= this.#limits.maxBytes) return;
    if (this.#answerSent) this.#linger();
    else this.#body.pause();
  }

  #linger(): void {
    const { lingerMs = 0, timeoutMs } = this.#limits;
    if (lingerMs === 0) return this.#finish(true);
    this.#body.pause();
    this.#timer?.cancel();
    this.#timer = this.#clock.after(Math.min(lingerMs, timeoutMs), () => this.#finish(true));
  }

  #finish(exceeded: boolean): void {
    if (this.#over) return;
    this.cancel();
    this.#done(exceeded);
  }
}
