import type { Clock, Timer } from "../index.js";

/** A clock that moves only when told to: a platform's option `clock`, and that of `servePlugin` and of stubs. */
export interface ManualClock extends Clock {
  /** Moves on and fires what comes due, in the order of time. What a fired timer sets is fired too if it comes due. */
  advance(ms: number): void;
  /**
   * As `advance`, and lets the program go on after each timer: promise callbacks run, and what waits for the next turn of
   * the event loop, so that a timer which they set is fired too if it comes due. Does not wait for sockets or processes:
   * wait for the event that they cause.
   */
  advanceAsync(ms: number): Promise<void>;
  /** Timers that are neither fired nor cancelled. */
  readonly pending: number;
  /** Delays of the pending timers, as seen from now, shortest first. */
  delays(): readonly number[];
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Makes a clock that stands still until it is told to move.
 *
 * @param startAt what `now` says at the beginning, in milliseconds since 1970
 */
export function manualClock(startAt = 1_700_000_000_000): ManualClock {
  let elapsed = 0;
  const timers = new Set<{ readonly at: number; readonly fire: () => void }>();
  const fireNext = (end: number): boolean => {
    const [timer] = [...timers].sort((a, b) => a.at - b.at);
    if (timer === undefined || timer.at > end) return false;
    // Another `advance` may have moved on meanwhile.
    elapsed = Math.max(elapsed, timer.at);
    timers.delete(timer);
    timer.fire();
    return true;
  };
  return {
    now: () => startAt + elapsed,
    monotonic: () => elapsed,
    after(delayMs, fire): Timer {
      const timer = { at: elapsed + Math.max(0, delayMs), fire };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    advance(ms) {
      const end = elapsed + ms;
      while (fireNext(end));
      elapsed = Math.max(elapsed, end);
    },
    async advanceAsync(ms) {
      const end = elapsed + ms;
      do await turn();
      while (fireNext(end));
      elapsed = Math.max(elapsed, end);
    },
    get pending() {
      return timers.size;
    },
    delays: () => [...timers].map(({ at }) => at - elapsed).sort((a, b) => a - b),
  };
}
