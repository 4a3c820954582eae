import type { Clock, Timer } from "../internal/clock.js";

/** Something that waits in a {@link TimeoutQueue}; in one of them at a time. */
export interface TimeoutEntry {
  /** The entry's place, which belongs to the queue. Begins as undefined. */
  timeoutPlace: TimeoutPlace | undefined;
  /** Called once when the entry has waited for the queue's whole time. It is out of the queue by then. */
  onTimeout(): void;
}

/** A place in a {@link TimeoutQueue}. */
export interface TimeoutPlace {
  /** Undefined once the entry has left. */
  entry: TimeoutEntry | undefined;
  dueAt: number;
  previous: TimeoutPlace;
  next: TimeoutPlace;
}

/**
 * Many waits of one length on a single timer: entering and leaving costs next to nothing, however many wait. A ring of
 * places in the order of entering, which is the order in which they are due.
 */
export class TimeoutQueue {
  readonly #clock: Clock;
  readonly #delayMs: number;
  /** Stands between the last and the first. */
  readonly #ends: TimeoutPlace;
  #timer: Timer | undefined;

  constructor(clock: Clock, delayMs: number) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    const ends = { entry: undefined, dueAt: 0 } as unknown as TimeoutPlace;
    ends.previous = ends;
    ends.next = ends;
    this.#ends = ends;
  }

  /** Begins to wait; an entry that waits already begins anew. */
  add(entry: TimeoutEntry): void {
    this.delete(entry);
    const ends = this.#ends;
    const last = ends.previous;
    const place = { entry, dueAt: this.#clock.monotonic() + this.#delayMs, previous: last, next: ends };
    last.next = place;
    ends.previous = place;
    entry.timeoutPlace = place;
    this.#timer ??= this.#clock.after(this.#delayMs, this.#fire);
  }

  /** Ends a wait. Does nothing if the entry does not wait. */
  delete(entry: TimeoutEntry): void {
    const place = entry.timeoutPlace;
    if (place === undefined) return;
    entry.timeoutPlace = undefined;
    place.previous.next = place.next;
    place.next.previous = place.previous;
    // A place that a collection found too old to look at soon would otherwise keep all that came after it.
    place.entry = undefined;
    place.previous = place;
    place.next = place;
  }

  /** Forgets all waits. */
  close(): void {
    for (let entry = this.#ends.next.entry; entry !== undefined; entry = this.#ends.next.entry) this.delete(entry);
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  // The timer is left to run when entries leave: taking it off and setting it again on each call would cost more.
  readonly #fire = (): void => {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    for (let place = this.#ends.next; place.entry !== undefined; place = this.#ends.next) {
      // Half a millisecond: a timer may fire a fraction before its time.
      if (place.dueAt > now + 0.5) {
        // An entry that began anew in its `onTimeout` has set the timer already.
        this.#timer ??= this.#clock.after(place.dueAt - now, this.#fire);
        return;
      }
      const { entry } = place;
      this.delete(entry);
      entry.onTimeout();
    }
  };
}
