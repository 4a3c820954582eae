import type { Clock, Timer } from "../internal/clock.js";

// Deadlines fire late by at most this much, never early.
const bucketMs = 10;

// What is due later than this waits in the last bucket and is looked at again, so that there are never many buckets.
const horizonMs = 5_000;

/** Something that may run out of time. */
export interface Expiring {
  /** When, on the clock's monotonic scale. */
  dueAt: number;
  /** The bucket that it waits in; kept by the wheel. */
  bucket: Set<Expiring> | undefined;
  expire(): void;
}

/** Deadlines of many calls with one timer at a time: adding and removing one costs about as much as an entry of a set. */
export class DeadlineWheel {
  readonly #clock: Clock;
  readonly #buckets = new Map<number, Set<Expiring>>();
  #timer: Timer | undefined;
  #timerSlot = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param now the clock's monotonic time, which whoever sets a deadline has asked for already */
  add(item: Expiring, now: number): void {
    const slot = Math.ceil(Math.min(item.dueAt, now + horizonMs) / bucketMs);
    let bucket = this.#buckets.get(slot);
    if (bucket === undefined) {
      bucket = new Set();
      this.#buckets.set(slot, bucket);
    }
    bucket.add(item);
    item.bucket = bucket;
    if (slot < this.#timerSlot) this.#arm(slot, now);
  }

  remove(item: Expiring): void {
    item.bucket?.delete(item);
    item.bucket = undefined;
  }

  /** Forgets everything. */
  clear(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerSlot = Number.POSITIVE_INFINITY;
    this.#buckets.clear();
  }

  #arm(slot: number, now: number): void {
    this.#timer?.cancel();
    this.#timerSlot = slot;
    this.#timer = this.#clock.after(slot * bucketMs - now, this.#fire);
  }

  readonly #fire = (): void => {
    this.#timer = undefined;
    this.#timerSlot = Number.POSITIVE_INFINITY;
    const now = this.#clock.monotonic();
    for (const [slot, bucket] of [...this.#buckets]) {
      if (slot * bucketMs > now && bucket.size > 0) continue;
      this.#buckets.delete(slot);
      for (const item of bucket) {
        item.bucket = undefined;
        if (item.dueAt <= now) item.expire();
        else this.add(item, now);
      }
    }
    let next = Number.POSITIVE_INFINITY;
    for (const slot of this.#buckets.keys()) next = Math.min(next, slot);
    if (next < this.#timerSlot) this.#arm(next, now);
  };
}
