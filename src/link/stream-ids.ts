const largestId = 2 ** 31 - 1;

/** Numbers for the streams that one side opens: in order, every second one, and from the first again when they run out. */
export class StreamIds {
  readonly #first: 1 | 2;
  #next: number;

  /** @param first 1 for the side that dialled, 2 for the one that accepted */
  constructor(first: 1 | 2, next: number = first) {
    this.#first = first;
    this.#next = next;
  }

  /** The next number that is not in use. */
  next(used: ReadonlyMap<number, unknown>): number {
    for (;;) {
      const id = this.#next;
      this.#next = id + 2 > largestId ? this.#first : id + 2;
      if (!used.has(id)) return id;
    }
  }

  /** Whether the other side may use this number. */
  isPeers(id: number): boolean {
    return id > 0 && id <= largestId && id % 2 !== this.#first % 2;
  }
}
