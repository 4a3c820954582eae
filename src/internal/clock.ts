/** A timer that has not fired yet. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/** Where time comes from, so that tests can move it by hand. */
export interface Clock {
  /** Milliseconds since 1970, for people and the wire. */
  now(): number;
  /** Milliseconds that never go back, for durations and deadlines. */
  monotonic(): number;
  /**
   * Calls `fire` once after `delayMs`. Keeps the process alive only if `keepAlive` is true, which is for limits on work
   * that somebody awaits.
   */
  after(delayMs: number, fire: () => void, keepAlive?: boolean): Timer;
}

/** The longest delay of a timer. Node clamps longer ones to 1 ms, which would turn "in 30 days" into "now". */
export const longestDelayMs = 2 ** 31 - 1;

/** The real time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, fire, keepAlive = false) {
    const timer = setTimeout(fire, Math.min(Math.max(0, delayMs), longestDelayMs));
    if (!keepAlive) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
