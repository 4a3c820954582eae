/** What {@link Traffic} counted. */
export interface TrafficCount {
  readonly answered: number;
  readonly failures: readonly string[];
}

const tickMs = 10;
/** On a computer that cannot keep up calls are made less often; they do not pile up. */
const maxOpen = 50;

/** Makes calls at a steady rate and counts how they end. */
export class Traffic {
  readonly #call: (index: number) => Promise<void>;
  readonly #open = new Set<Promise<void>>();
  readonly #durationsMs: number[] = [];
  readonly #failures: string[] = [];
  readonly #timer: NodeJS.Timeout;
  #started = 0;

  /** `call` rejects if the call failed or its answer is wrong. */
  constructor(callsPerSecond: number, call: (index: number) => Promise<void>) {
    this.#call = call;
    let due = 0;
    let lastAt = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      due += ((now - lastAt) / 1_000) * callsPerSecond;
      lastAt = now;
      for (; due >= 1; due -= 1) if (this.#open.size < maxOpen) this.#begin();
    }, tickMs);
  }

  /** What has ended so far. */
  get count(): TrafficCount {
    return { answered: this.#durationsMs.length, failures: [...this.#failures] };
  }

  /** How long `share` of the answered calls took at most, in milliseconds. */
  durationMs(share: number): number {
    const sorted = this.#durationsMs.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  }

  /** Makes no more calls, and waits for those that are open. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
  }

  #begin(): void {
    const startedAt = performance.now();
    const call = this.#call(this.#started++)
      .then(
        () => void this.#durationsMs.push(performance.now() - startedAt),
        (error: unknown) => void this.#failures.push(String(error)),
      )
      .finally(() => this.#open.delete(call));
    this.#open.add(call);
  }
}
