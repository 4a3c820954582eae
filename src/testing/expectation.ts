import { AssertionError } from "node:assert";

/** What every test framework reports as a failed check rather than as a crash. */
export const failed = (message: string): AssertionError => new AssertionError({ message });

/**
 * Resolves as soon as `holds` is true: looked at now, and each time that the function given to `onChange` is called.
 * `onChange` calls neither before it returns.
 * Rejects when `limitMs` of real time have passed (a clock moved by hand would never get there), or when `fail` is called.
 */
export function until(
  holds: () => boolean,
  limitMs: number,
  describe: () => string,
  onChange: (check: () => void, fail: (error: Error) => void) => () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void): void => {
      clearTimeout(limit);
      off();
      end();
    };
    const fail = (error: unknown): void => settle(() => reject(error));
    const check = (): void => {
      try {
        if (holds()) settle(resolve);
      } catch (error) {
        fail(error);
      }
    };
    const limit = setTimeout(() => fail(failed(`${describe()}: not within ${limitMs} ms`)), limitMs);
    const off = onChange(check, fail);
    check();
  });
}
