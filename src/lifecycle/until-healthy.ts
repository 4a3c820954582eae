import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import type { Health } from "../model/health.js";
import type { LivePlugin } from "./live-plugin.js";

/** How a plugin's health is waited for. */
export interface UntilHealthy {
  readonly clock: Clock;
  readonly healthMs: number;
  readonly acceptable: (health: Health) => boolean;
  /** Each of them ends the waiting with its reason. */
  readonly ends: readonly AbortSignal[];
}

/**
 * Resolves as soon as the plugin's health is acceptable.
 *
 * @throws PluginHostError `PLUGIN_NOT_HEALTHY` with the last state and reason, `OPERATION_CONFLICT` if the plugin is
 * removed meanwhile; the reason of the signal that ended the waiting
 */
export function untilHealthy(plugin: LivePlugin, { clock, healthMs, acceptable, ends }: UntilHealthy): Promise<void> {
  return new Promise((resolve, reject) => {
    const sources = [...ends, plugin.gone];
    const stop = (): void => {
      limit.cancel();
      plugin.healthListeners.delete(check);
      for (const source of sources) source.removeEventListener("abort", check);
    };
    const fail = (error: unknown): void => {
      stop();
      reject(error);
    };
    const check = (): void => {
      const ended = ends.find(({ aborted }) => aborted);
      if (ended !== undefined) return fail(ended.reason);
      if (plugin.gone.aborted) return fail(endedMeanwhile(plugin));
      if (!acceptable(plugin.health.current)) return;
      stop();
      resolve();
    };
    const limit = clock.after(healthMs, () => fail(notHealthy(plugin, healthMs)), true);
    plugin.healthListeners.add(check);
    for (const source of sources) source.addEventListener("abort", check, { once: true });
    check();
  });
}

function notHealthy({ selfId, health }: LivePlugin, healthMs: number): PluginHostError {
  const { state, reason } = health.current;
  const why = reason === "" ? state : `${state}, ${reason}`;
  const message = `${selfId} did not become healthy within ${healthMs} ms; its last state: ${why}`;
  return new PluginHostError("PLUGIN_NOT_HEALTHY", message, { details: { state, reason } });
}

const endedMeanwhile = ({ runtimeId }: LivePlugin): PluginHostError =>
  new PluginHostError("OPERATION_CONFLICT", `${runtimeId} has ended meanwhile`, { details: { runtimeId } });
