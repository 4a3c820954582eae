/** What became of an item that somebody wanted to put in a {@link FairQueue}. */
export type Joined<T> =
  | { readonly kind: "joined" }
  /** It took the place of the last item of whoever had most. */
  | { readonly kind: "instead"; readonly dropped: T }
  | { readonly kind: "full" };

const joined = Object.freeze({ kind: "joined" } as const);
const full = Object.freeze({ kind: "full" } as const);

/**
 * Items of several owners in line: those of one owner in their order, the owners in turn. Where the line is full, an owner
 * with fewer items takes the last place of the one with most, so that nobody can fill it and shut the others out.
 */
export class FairQueue<T> {
  /** By owner; the first is next. */
  readonly #byOwner = new Map<string, Set<T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Puts an item at the end of its owner's, if the line has less than `limit` or its owner less than another. */
  offer(owner: string, item: T, limit: number): Joined<T> {
    if (this.#size < limit) {
      this.add(owner, item);
      return joined;
    }
    const largest = this.#largest();
    const own = this.#byOwner.get(owner)?.size ?? 0;
    // Two more: with one more, the two would only change places.
    if (largest === undefined || largest.items.size < own + 2) return full;
    const dropped = [...largest.items].at(-1) as T;
    this.delete(largest.owner, dropped);
    this.add(owner, item);
    return { kind: "instead", dropped };
  }

  /** Puts an item at the end of its owner's, however long the line is. */
  add(owner: string, item: T): void {
    const items = this.#byOwner.get(owner);
    if (items === undefined) this.#byOwner.set(owner, new Set([item]));
    else if (items.has(item)) return;
    else items.add(item);
    this.#size++;
  }

  /** Whether the item was in line. */
  delete(owner: string, item: T): boolean {
    const items = this.#byOwner.get(owner);
    if (items?.delete(item) !== true) return false;
    this.#size--;
    if (items.size === 0) this.#byOwner.delete(owner);
    return true;
  }

  /** Takes an item out because its turn has come: its owner is last from now on. */
  served(owner: string, item: T): void {
    if (!this.delete(owner, item)) return;
    const items = this.#byOwner.get(owner);
    if (items === undefined) return;
    this.#byOwner.delete(owner);
    this.#byOwner.set(owner, items);
  }

  /** The first item of each owner, the owner whose turn it is first. */
  heads(): T[] {
    return Array.from(this.#byOwner.values(), (items) => items.values().next().value as T);
  }

  /** The item whose turn it is; undefined if there is none. */
  first(): T | undefined {
    const next = this.#byOwner.values().next();
    return next.done === true ? undefined : next.value.values().next().value;
  }

  /** All items: owner by owner, each one's in their order. */
  items(): T[] {
    return Array.from(this.#byOwner.values(), (items) => [...items]).flat();
  }

  #largest(): { readonly owner: string; readonly items: ReadonlySet<T> } | undefined {
    let largest: { owner: string; items: ReadonlySet<T> } | undefined;
    for (const [owner, items] of this.#byOwner) {
      if (largest === undefined || items.size > largest.items.size) largest = { owner, items };
    }
    return largest;
  }
}
