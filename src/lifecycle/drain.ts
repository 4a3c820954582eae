import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import type { LivePlugin } from "./live-plugin.js";

/**
 * Waits until no call to the plugin is in flight, for `drainMs` at most or until `cutOff` is aborted; then cuts off those
 * that are left. Resolves with the number of calls that were cut off.
 */
export async function drain(
  clock: Clock,
  plugin: LivePlugin,
  drainMs: number,
  cutOff: AbortSignal | undefined,
): Promise<number> {
  if (plugin.inFlight.count === 0) return 0;
  const late = deferred();
  const onCutOff = (): void => late.resolve();
  const startedAt = clock.monotonic();
  const timer = clock.after(drainMs, late.resolve, true);
  cutOff?.addEventListener("abort", onCutOff, { once: true });
  if (cutOff?.aborted === true) onCutOff();
  await Promise.race([plugin.inFlight.whenIdle(), late.promise]);
  timer.cancel();
  cutOff?.removeEventListener("abort", onCutOff);
  const left = plugin.inFlight.count;
  if (left > 0) {
    const tookMs = Math.round(clock.monotonic() - startedAt);
    const message = `${plugin.runtimeId} had ${left} calls open after ${tookMs} ms of draining`;
    plugin.inFlight.abortAll(new PluginHostError("DRAIN_TIMEOUT", message));
  }
  return left;
}
