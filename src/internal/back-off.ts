/** How long to wait between attempts. */
export interface BackOffOptions {
  /** Upper end of the first wait. @default 100 */
  readonly firstMs: number;
  /** Upper end of the longest wait. @default 5_000 */
  readonly longestMs: number;
  /** A number from 0 to 1 (exclusive). @default Math.random */
  readonly random: () => number;
}

/**
 * Milliseconds before attempt `failures + 1`: doubles with each failure up to the longest, and half of it is random, so
 * that what was lost together does not all come back in the same moment, and what fails at once is never tried at once.
 */
export function backOffMs(failures: number, { firstMs, longestMs, random }: BackOffOptions): number {
  const whole = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return whole / 2 + (whole / 2) * random();
}
