/** When a call may begin. */
export type Turn =
  | { readonly kind: "turn"; readonly waitMs: number }
  /** It would be its turn after more than it can wait; it has none. */
  | { readonly kind: "too-late"; readonly waitMs: number };

/** Hands out the turns of calls at a rate, for each name, in the order in which they ask. */
export class TurnQueue {
  readonly #stepMs: number;
  readonly #burstMs: number;
  readonly #monotonic: () => number;
  /** When a caller that uses all of its rate would be due; in the past for those who use less. */
  readonly #dueAt = new Map<string, number>();
  #sweepAt = 0;

  constructor(perSecond: number, burst: number, monotonic: () => number) {
    this.#stepMs = 1_000 / perSecond;
    this.#burstMs = (burst - 1) * this.#stepMs;
    this.#monotonic = monotonic;
  }

  take(key: string, maxWaitMs: number): Turn {
    const now = this.#monotonic();
    this.#sweep(now);
    const dueAt = Math.max(now, this.#dueAt.get(key) ?? 0);
    // Sums of fractions miss whole milliseconds by a hair.
    const earlyMs = dueAt - this.#burstMs - now;
    const waitMs = earlyMs < 1e-6 ? 0 : earlyMs;
    if (waitMs > maxWaitMs) return { kind: "too-late", waitMs };
    this.#dueAt.set(key, dueAt + this.#stepMs);
    return { kind: "turn", waitMs };
  }

  #sweep(now: number): void {
    if (now < this.#sweepAt) return;
    this.#sweepAt = now + this.#burstMs + this.#stepMs;
    for (const [key, dueAt] of this.#dueAt) if (dueAt <= now) this.#dueAt.delete(key);
  }
}
