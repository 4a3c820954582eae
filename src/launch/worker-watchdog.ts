import type { Clock, Timer } from "../internal/clock.js";

// Memory is looked at as often as the thread is asked.
const longestPeriodMs = 1_000;
const asksPerSilence = 4;

/** What a watchdog works with. */
export interface WatchdogOptions {
  readonly clock: Clock;
  /** Silence that is too long. */
  readonly silenceMs: number;
  /** Whether nobody may be ended now, since a debugger may have halted the thread. */
  readonly isHalted: () => boolean;
  /** Asks the thread for a sign of life. */
  readonly ask: () => void;
  /** The thread has given none for too long. Called once. */
  readonly onSilence: (silentMs: number) => void;
}

/**
 * Asks a thread for signs of life. Only time in which this thread could have heard them counts: when its own timer is late it was
 * busy itself, or all of the process was halted, and an answer may wait to be read.
 */
export class WorkerWatchdog {
  readonly #options: WatchdogOptions;
  readonly #periodMs: number;
  #timer: Timer | undefined;
  #firesAt = 0;
  #asked = false;
  #silentMs = 0;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#periodMs = Math.min(longestPeriodMs, options.silenceMs / asksPerSilence);
  }

  start(): void {
    if (this.#options.silenceMs !== Number.POSITIVE_INFINITY) this.#arm();
  }

  /** The thread has answered. */
  heard(): void {
    this.#asked = false;
    this.#silentMs = 0;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    const { clock } = this.#options;
    this.#firesAt = clock.monotonic() + this.#periodMs;
    this.#timer = clock.after(this.#periodMs, this.#check);
  }

  readonly #check = (): void => {
    const { clock, silenceMs, isHalted, ask, onSilence } = this.#options;
    const lateMs = clock.monotonic() - this.#firesAt;
    if (isHalted()) this.#silentMs = 0;
    else if (this.#asked && lateMs <= this.#periodMs / 2) this.#silentMs += this.#periodMs;
    if (this.#silentMs >= silenceMs) {
      this.#timer = undefined;
      return onSilence(this.#silentMs);
    }
    if (!this.#asked) ask();
    this.#asked = true;
    this.#arm();
  };
}
