import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import type { LivePlugin } from "./live-plugin.js";

/**
 * Waits until no call to the plugin is in flight, for `drainMs` at most; then cuts off those that are left.
 * Resolves with the number of calls that were cut off.
 */
export async function drain(clock: Clock, plugin: LivePlugin, drainMs: number): Promise<number> {
  if (plugin.inFlight.count === 0) return 0;
  const late = deferred();
  const timer = clock.after(drainMs, late.resolve, true);
  await Promise.race([plugin.inFlight.whenIdle(), late.promise]);
  timer.cancel();
  const left = plugin.inFlight.count;
  if (left > 0) {
    const message = `${plugin.runtimeId} had ${left} calls open after ${drainMs} ms of draining`;
    plugin.inFlight.abortAll(new PluginHostError("DRAIN_TIMEOUT", message));
  }
  return left;
}

/** Asks the plugin to shut down, and then makes sure of it where the host started it. */
export async function shutDown(
  plugin: LivePlugin,
  graceMs: number,
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  // A plugin that is gone already, or never had PluginControl, needs no request.
  await plugin.remote?.shutdown(graceMs, reason, signal).catch(() => "unimplemented" as const);
  await plugin.launched?.stop(graceMs);
}
