import { type Deferred, deferred } from "./deferred.js";

/**
 * Hands values from a writer that never waits to one reader that may be slow. Only the newest value
 * of each key is kept, in the order in which keys were first written since they were last read, so
 * memory is bounded by the number of keys and the last state of each is never lost.
 */
export class LatestChannel<K, V> implements AsyncIterable<V> {
  readonly #pending = new Map<K, V>();
  #wake: Deferred<void> | undefined;
  #closed = false;

  /** Replaces the unread value of `key`. Ignored once the channel is closed. */
  put(key: K, value: V): void {
    if (this.#closed) return;
    this.#pending.set(key, value);
    this.#wake?.resolve();
  }

  /** Ends the reader after what is still unread. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#wake?.resolve();
  }

  /** Drops what is unread and ends the reader. Idempotent. */
  abort(): void {
    this.#pending.clear();
    this.close();
  }

  /** For one reader at a time. */
  async *[Symbol.asyncIterator](): AsyncGenerator<V, void, undefined> {
    for (;;) {
      for (const [key, value] of this.#pending) {
        this.#pending.delete(key);
        yield value;
      }
      if (this.#closed && this.#pending.size === 0) return;
      if (this.#pending.size > 0) continue;
      this.#wake = deferred();
      await this.#wake.promise;
      this.#wake = undefined;
    }
  }
}
