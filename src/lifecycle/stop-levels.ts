import { PluginHostError } from "../errors.js";
import { endsWithin } from "../internal/ends-within.js";
import type { RuntimeId } from "../model/catalog.js";
import { drain } from "./drain.js";
import type { LivePlugin } from "./live-plugin.js";
import { shutDown } from "./shut-down.js";
import type { StartContext } from "./start-spec.js";

const reason = "the host is stopping";

// What killing may take where nothing is left of the budget.
const killMs = 1_000;

/** What of a plugin's time is left for its forced end. */
const forceShare = 1 / 4;

/**
 * Stops plugins level by level within what is left of the budget. Each level gets an even share of what those before it
 * have left over: half of it for calls in flight, the rest for the plugins' own end.
 */
export async function stopLevels(context: StartContext, levels: readonly (readonly RuntimeId[])[]): Promise<void> {
  const { clock } = context.ports;
  const overAt = clock.monotonic() + context.stopBudget.leftMs() + killMs;
  for (const [index, level] of levels.entries()) {
    const shareMs = context.stopBudget.leftMs() / (levels.length - index);
    const endsAt = clock.monotonic() + shareMs;
    await Promise.all(level.map((runtimeId) => letGo(context, runtimeId, { shareMs, endsAt, overAt })));
  }
}

interface Share {
  readonly shareMs: number;
  /** Monotonic. */
  readonly endsAt: number;
  /** Monotonic; nothing is waited for any longer. */
  readonly overAt: number;
}

async function letGo(context: StartContext, runtimeId: RuntimeId, share: Share): Promise<void> {
  const { directory, ports } = context;
  const plugin = directory.get(runtimeId);
  if (plugin === undefined) return;
  directory.withdraw(plugin, reason);
  try {
    await drain(ports.clock, plugin, share.shareMs / 2, undefined);
    await stopLaunched(context, plugin, share);
  } catch (error) {
    ports.emit("warning", { message: `${runtimeId} did not stop cleanly`, error });
  }
  directory.retire(plugin, reason);
}

/** Stops what the host started, and waits no longer than that may take. */
async function stopLaunched({ ports }: StartContext, plugin: LivePlugin, share: Share): Promise<void> {
  const { runtimeId, launched } = plugin;
  if (launched === undefined || launched.origin === "endpoint") return;
  const { clock } = ports;
  const now = clock.monotonic();
  const leftMs = Math.max(0, share.endsAt - now);
  const graceMs = leftMs * (1 - forceShare);
  const limitMs = Math.max(leftMs, Math.min(killMs, share.overAt - now));
  const { signal } = new AbortController();
  // A module is asked by its own `stop`; a program gets the request of the wire contract before its signals.
  const stopping =
    launched.origin === "module" ? launched.stop(graceMs) : shutDown(plugin, { clock, graceMs, reason, signal });
  if (await endsWithin(clock, limitMs, stopping)) return stopping;
  stopping.catch(() => {});
  throw new PluginHostError("STEP_TIMEOUT", `${runtimeId} did not stop within ${Math.round(limitMs)} ms`);
}
