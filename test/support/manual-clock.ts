import type { Clock, Timer } from "../../src/internal/clock.js";

/** A clock that moves only when told to. */
export interface ManualClock extends Clock {
  /** Moves on and fires what comes due, in the order of time; what a timer sets is seen too. */
  advance(ms: number): void;
  /** Timers that are neither fired nor cancelled. */
  readonly pending: number;
  /** Delays of the pending timers, as seen from now, shortest first. */
  delays(): readonly number[];
}

export function manualClock(startAt = 1_700_000_000_000): ManualClock {
  let elapsed = 0;
  const timers = new Set<{ readonly at: number; readonly fire: () => void }>();
  const next = () => [...timers].sort((a, b) => a.at - b.at)[0];
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
      for (let timer = next(); timer !== undefined && timer.at <= end; timer = next()) {
        elapsed = timer.at;
        timers.delete(timer);
        timer.fire();
      }
      elapsed = end;
    },
    get pending() {
      return timers.size;
    },
    delays: () => [...timers].map(({ at }) => at - elapsed).sort((a, b) => a - b),
  };
}
