import type { Clock } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
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
  const enough = deferred<"late">();
  const giveUp = (): void => {
    request.abort();
    enough.resolve("late");
  };
  // A program that does not answer still has to be told in time, by signals or by its thread's launch.
  const origin = plugin.launched?.origin;
  const requestMs = origin === "process" || origin === "worker" ? graceMs / 4 : graceMs;
  const limit = clock.after(requestMs, giveUp, true);
  signal.addEventListener("abort", giveUp, { once: true });
  if (signal.aborted) giveUp();
  // A plugin that is gone already, or never had PluginControl, needs no request.
  const answer = plugin.remote?.shutdown(graceMs, reason, request.signal).catch(() => "unimplemented" as const);
  const isLeaving = (await Promise.race([answer, enough.promise])) === "acknowledged";
  limit.cancel();
  signal.removeEventListener("abort", giveUp);
  await plugin.launched?.stop(Math.max(0, endsAt - clock.monotonic()), isLeaving);
}
