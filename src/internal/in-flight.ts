import { type Deferred, deferred } from "./deferred.js";

/** One unit of work that is going on. */
export interface InFlightEntry {
  /** Ends the work early; called at most once, by `abortAll`. */
  abort(reason: Error): void;
}

const place: unique symbol = Symbol("place");

/** Where an entry stands in the list of the one that it entered first. */
interface Placed extends InFlightEntry {
  [place]?: { readonly list: InFlight; index: number; readonly generation: number } | undefined;
}

/** Counts work in flight, tells when there is none, and can end all of it. */
export class InFlight {
  // A list rather than a set: one that a single entry enters and leaves all the time makes itself anew every few times.
  readonly #entries: Placed[] = [];
  /** Entries that stand in another list at the same time, with their generation. */
  readonly #visitors = new Map<InFlightEntry, number>();
  #generation = 0;
  #newcomers = 0;
  #idle: Deferred<void> | undefined;
  /** Called after each change of `count`. */
  onChange: (() => void) | undefined;
  /** Called after an entry has left, before anybody is told that nothing is in flight: others may take its place. */
  onLeave: (() => void) | undefined;

  get count(): number {
    return this.#entries.length + this.#visitors.size;
  }

  /** How many are there that have entered since the last `countNewcomers`. */
  get newcomers(): number {
    return this.#newcomers;
  }

  /** Those who are there already are no newcomers from now on. */
  countNewcomers(): void {
    this.#generation += 1;
    this.#newcomers = 0;
  }

  /** Idempotent. */
  enter(entry: InFlightEntry): void {
    const placed: Placed = entry;
    const at = placed[place];
    if (this.#visitors.size > 0 && this.#visitors.has(entry)) {
      // Stays what it is, although its place in the other list is free by now.
    } else if (at === undefined) {
      placed[place] = { list: this, index: this.#entries.length, generation: this.#generation };
      this.#entries.push(placed);
      this.#newcomers += 1;
    } else if (at.list !== this) {
      this.#visitors.set(entry, this.#generation);
      this.#newcomers += 1;
    }
    this.onChange?.();
  }

  /** Idempotent. */
  leave(entry: InFlightEntry): void {
    if (!this.#remove(entry)) return;
    this.onChange?.();
    this.onLeave?.();
    if (this.count === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
  }

  /** Resolves when nothing is in flight; at once if nothing is. */
  whenIdle(): Promise<void> {
    if (this.count === 0) return Promise.resolve();
    this.#idle ??= deferred();
    return this.#idle.promise;
  }

  /** Aborts everything that is in flight now. Each entry still leaves by itself. */
  abortAll(reason: Error): void {
    for (const entry of [...this.#entries, ...this.#visitors.keys()]) entry.abort(reason);
  }

  #remove(entry: Placed): boolean {
    const at = entry[place];
    const generation = at?.list === this ? at.generation : this.#visitors.get(entry);
    if (generation === undefined) return false;
    if (generation === this.#generation) this.#newcomers -= 1;
    if (at?.list !== this) return this.#visitors.delete(entry);
    // The last one takes the place that is free now.
    const last = this.#entries.pop() as Placed;
    if (last !== entry) {
      this.#entries[at.index] = last;
      (last[place] as { index: number }).index = at.index;
    }
    entry[place] = undefined;
    return true;
  }
}
