import type { Readable, Writable } from "node:stream";

/** Watches what passes through a {@link Pump}. */
export interface PumpWatcher {
  /** Called before each chunk is passed on. False keeps it back; the watcher has stopped the pump then. */
  passing(pump: Pump, chunk: Buffer): boolean;
  /** The receiving side has no room any more, or has some again. */
  blocked(pump: Pump, isBlocked: boolean): void;
}

/** Copies one stream into another at the speed of the slower one. Ends neither of them. */
export class Pump {
  /** Bytes passed on. */
  bytes = 0;
  #running = true;
  #waiting = false;

  constructor(
    readonly source: Readable,
    readonly sink: Writable,
    readonly watcher: PumpWatcher,
  ) {}

  /** Begins. The source must not have been read before. */
  start(): void {
    this.sink.on("drain", this.#onDrain);
    this.source.on("data", this.#onData);
  }

  /** Leaves both streams alone, at once. Idempotent. */
  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    this.source.off("data", this.#onData);
    this.sink.off("drain", this.#onDrain);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.#running || !this.watcher.passing(this, chunk)) return;
    this.bytes += chunk.length;
    if (this.sink.write(chunk) || this.#waiting || !this.#running) return;
    this.#waiting = true;
    this.source.pause();
    this.watcher.blocked(this, true);
  };

  readonly #onDrain = (): void => {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.watcher.blocked(this, false);
    this.source.resume();
  };
}
