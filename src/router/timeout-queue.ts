import type { Clock, Timer } from "../internal/clock.js";

/** Something that waits in a {@link TimeoutQueue}. */
export interface TimeoutEntry {
  /** Called once when the entry has waited for the queue's whole time. It is out of the queue by then. */
  onTimeout(): void;
}

/** Many waits of one length on a single timer: entering and leaving costs next to nothing, however many wait. */
export class TimeoutQueue {
  readonly #clock: Clock;
  readonly #delayMs: number;
  /** In the order of entering, which is the order in which they are due. */
  readonly #dueAt = new Map<TimeoutEntry, number>();
  #timer: Timer | undefined;

  constructor(clock: Clock, delayMs: number) {
    this.#clock = clock;
    this.#delayMs = delayMs;
  }

  /** Begins to wait; an entry that waits already begins anew. */
  add(entry: TimeoutEntry): void {
    this.#dueAt.delete(entry);
    this.#dueAt.set(entry, this.#clock.monotonic() + this.#delayMs);
    this.#timer ??= this.#clock.after(this.#delayMs, this.#fire);
  }

  /** Ends a wait. Does nothing if the entry does not wait. */
  delete(entry: TimeoutEntry): void {
    this.#dueAt.delete(entry);
  }

  /** Forgets all waits. */
  close(): void {
    this.#dueAt.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  // The timer is left to run when entries leave: taking it off and setting it again on each call would cost more.
  readonly #fire = (): void => {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    for (const [entry, dueAt] of this.#dueAt) {
      // Half a millisecond: a timer may fire a fraction before its time.
      if (dueAt > now + 0.5) {
        // An entry that began anew in its `onTimeout` has set the timer already.
        this.#timer ??= this.#clock.after(dueAt - now, this.#fire);
        return;
      }
      this.#dueAt.delete(entry);
      entry.onTimeout();
    }
  };
}
