import type { Clock } from "../internal/clock.js";

/** How long to wait between attempts. */
export interface BackOffOptions {
  /** Upper end of the first wait. @default 100 */
  readonly firstMs: number;
  /** Upper end of the longest wait. @default 5_000 */
  readonly longestMs: number;
  /** A number from 0 to 1 (exclusive). @default Math.random */
  readonly random: () => number;
}

/** What is used where nothing else is said. */
export const defaultBackOff: BackOffOptions = Object.freeze({ firstMs: 100, longestMs: 5_000, random: Math.random });

/**
 * Milliseconds before attempt `failures + 1`: doubles with each failure up to the longest, and half of it is random, so
 * that plugins that lost the same host do not all come back in the same moment.
 */
export function backOffMs(failures: number, { firstMs, longestMs, random }: BackOffOptions): number {
  const whole = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return whole / 2 + (whole / 2) * random();
}

/** Resolves after `delayMs`, or as soon as `signal` is aborted. Never rejects. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(delayMs, done);
    signal.addEventListener("abort", done, { once: true });
  });
}
