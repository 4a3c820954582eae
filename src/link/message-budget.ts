/**
 * How many bytes of unfinished messages may be kept for the calls of one link. Whoever keeps some takes from it, and gives
 * it back.
 */
export class MessageBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** False, and nothing is taken, if there is not that much left. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#left += bytes;
  }
}
