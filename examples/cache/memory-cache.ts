interface Entry {
  readonly value: Uint8Array;
  readonly expiresAt: number;
}

interface Change {
  readonly key: string;
  readonly value: Uint8Array;
}

/** Values by key, with an end of their life, and news of their changes. */
export class MemoryCache {
  readonly #entries = new Map<string, Entry>();
  readonly #watchers = new Set<(change: Change) => void>();

  get(key: string): Uint8Array | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.expiresAt > Date.now()) return entry?.value;
    this.#entries.delete(key);
    return undefined;
  }

  /** `ttlMs` 0 means for ever. */
  set(key: string, value: Uint8Array, ttlMs: number): void {
    this.#entries.set(key, { value, expiresAt: ttlMs === 0 ? Number.POSITIVE_INFINITY : Date.now() + ttlMs });
    for (const tell of this.#watchers) tell({ key, value });
  }

  /** Begins with an empty key, which says that the watch stands. A slow reader gets the newest value of each key. */
  async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<Partial<Change>> {
    const changed = new Map<string, Change>();
    let wake: () => void = () => {};
    const tell = (change: Change): void => {
      if (change.key.startsWith(prefix)) changed.set(change.key, change);
      wake();
    };
    const end = (): void => wake();
    this.#watchers.add(tell);
    signal.addEventListener("abort", end);
    try {
      yield {};
      while (!signal.aborted) {
        for (const [key, change] of changed) {
          changed.delete(key);
          yield change;
        }
        if (changed.size > 0 || signal.aborted) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.#watchers.delete(tell);
      signal.removeEventListener("abort", end);
    }
  }
}
