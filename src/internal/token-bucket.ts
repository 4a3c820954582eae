/** A rate with room for bursts. */
export interface Rate {
  /** Tokens that come back each second. */
  readonly perSecond: number;
  /** Most tokens that can wait. */
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  filledAt: number;
}

/** One token bucket for each key. Buckets that are full again are forgotten, so memory follows who is active. */
export class TokenBuckets {
  readonly #rate: Rate;
  readonly #monotonic: () => number;
  readonly #buckets = new Map<string, Bucket>();
  #sweepAt = 0;

  constructor(rate: Rate, monotonic: () => number) {
    this.#rate = rate;
    this.#monotonic = monotonic;
  }

  /** Takes one token: 0 if there was one, otherwise the milliseconds until there is. */
  take(key: string): number {
    const { perSecond, burst } = this.#rate;
    const now = this.#monotonic();
    this.#sweep(now);
    const bucket = this.#buckets.get(key) ?? { tokens: burst, filledAt: now };
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.filledAt) / 1000) * perSecond);
    bucket.filledAt = now;
    this.#buckets.set(key, bucket);
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) / perSecond) * 1000);
    bucket.tokens -= 1;
    return 0;
  }

  #sweep(now: number): void {
    if (now < this.#sweepAt) return;
    const fullAfterMs = (this.#rate.burst / this.#rate.perSecond) * 1000;
    this.#sweepAt = now + fullAfterMs;
    for (const [key, bucket] of this.#buckets) if (now - bucket.filledAt >= fullAfterMs) this.#buckets.delete(key);
  }
}
