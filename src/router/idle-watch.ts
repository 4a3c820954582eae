import type { TimeoutEntry, TimeoutPlace, TimeoutQueue } from "./timeout-queue.js";

/**
 * Notices that nothing moves on a stream. It looks once in the queue's time, so that a byte that passes costs nothing: a
 * stream is found idle after one to two times that.
 */
export class IdleWatch implements TimeoutEntry {
  timeoutPlace: TimeoutPlace | undefined = undefined;
  #seen = -1;

  /**
   * @param moved bytes that have moved so far
   * @param idle called once if that stays the same
   */
  constructor(
    readonly queue: TimeoutQueue,
    readonly moved: () => number,
    readonly idle: () => void,
  ) {
    queue.add(this);
  }

  onTimeout(): void {
    const moved = this.moved();
    if (moved === this.#seen) return this.idle();
    this.#seen = moved;
    this.queue.add(this);
  }

  stop(): void {
    this.queue.delete(this);
  }
}
