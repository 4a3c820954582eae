/**
 * A map that keeps what was used lately and holds at most `2 * size` entries. Two generations: when the young one is
 * full it becomes the old one, and what nobody asked for since then is dropped. Unlike a strict least-recently-used
 * map this costs a hit one lookup and no write.
 */
export class BoundedCache<K, V> {
  readonly #size: number;
  readonly #onDrop: (value: V) => void;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  constructor(size: number, onDrop: (value: V) => void = () => {}) {
    this.#size = size;
    this.#onDrop = onDrop;
  }

  get(key: K): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.set(key, old);
    return old;
  }

  /** `key` is not in the cache yet. */
  set(key: K, value: V): void {
    if (this.#young.size >= this.#size) {
      const dropped = this.#old;
      this.#old = this.#young;
      this.#young = new Map();
      for (const gone of dropped.values()) this.#onDrop(gone);
    }
    this.#young.set(key, value);
  }

  /** Drops everything. */
  clear(): void {
    for (const generation of [this.#young, this.#old]) for (const gone of generation.values()) this.#onDrop(gone);
    this.#young = new Map();
    this.#old = new Map();
  }
}
