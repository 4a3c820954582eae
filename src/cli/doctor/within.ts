import { setTimeout as after } from "node:timers/promises";

/** What the promise resolves with; undefined if that takes longer. */
export async function within<T>(promise: Promise<T>, limitMs: number): Promise<T | undefined> {
  const late = new AbortController();
  try {
    return await Promise.race([promise, after(limitMs, undefined, { signal: late.signal })]);
  } finally {
    late.abort();
  }
}
