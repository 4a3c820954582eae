import type { Clock } from "../internal/clock.js";
import type { LivePlugin } from "./live-plugin.js";

/** How a plugin is shut down. */
export interface ShutDown {
  readonly clock: Clock;
  /** How long the plugin gets for everything. */
  readonly graceMs: number;
  readonly reason: string;
  readonly signal: AbortSignal;
}

/**
 * Asks the plugin to shut down, and then makes sure of it where the host started it. Who does not answer the request
 * is stopped all the same.
 */
export async function shutDown(plugin: LivePlugin, { clock, graceMs, reason, signal }: ShutDown): Promise<void> {
  const endsAt = clock.monotonic() + graceMs;
  const request = new AbortController();
  const giveUp = (): void => request.abort();
  const limit = clock.after(graceMs, giveUp, true);
  signal.addEventListener("abort", giveUp, { once: true });
  if (signal.aborted) giveUp();
  let isLeaving = false;
  try {
    isLeaving = (await plugin.remote?.shutdown(graceMs, reason, request.signal)) === "acknowledged";
  } catch {
    // A plugin that is gone already, or never had PluginControl, needs no request.
  } finally {
    limit.cancel();
    signal.removeEventListener("abort", giveUp);
  }
  await plugin.launched?.stop(Math.max(0, endsAt - clock.monotonic()), isLeaving);
}
