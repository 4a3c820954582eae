import type { BackOffOptions } from "../internal/back-off.js";
import type { Clock } from "../internal/clock.js";

/** What is used where nothing else is said. */
export const defaultBackOff: BackOffOptions = Object.freeze({ firstMs: 100, longestMs: 5_000, random: Math.random });

/**
 * Resolves after `delayMs`, or as soon as `signal` is aborted. Never rejects. With `keepAlive` the process does not end
 * meanwhile, which is for waits that are a part of a call.
 */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal, keepAlive = false): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(delayMs, done, keepAlive);
    signal.addEventListener("abort", done, { once: true });
  });
}
