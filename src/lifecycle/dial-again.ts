import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";

const firstDelayMs = 10;
const longestDelayMs = 200;

/** Tries again while nothing answers, for `graceMs` at most: a program often opens its port a moment after it started. */
export async function dialAgain<T>(
  clock: Clock,
  graceMs: number,
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T> {
  const giveUpAt = clock.monotonic() + graceMs;
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
    try {
      return await attempt();
    } catch (error) {
      const unreachable = error instanceof PluginHostError && error.code === "PLUGIN_UNREACHABLE";
      if (!unreachable || signal.aborted || clock.monotonic() + delayMs > giveUpAt) throw error;
    }
    const { promise, resolve } = deferred();
    const timer = clock.after(delayMs, resolve);
    const wake = (): void => resolve();
    signal.addEventListener("abort", wake, { once: true });
    await promise;
    signal.removeEventListener("abort", wake);
    timer.cancel();
    signal.throwIfAborted();
  }
}
