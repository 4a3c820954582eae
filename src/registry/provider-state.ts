import type { PluginRecord } from "../model/catalog.js";
import type { HealthState } from "../model/health.js";
import type { Provider } from "./provider.js";

/** What a provider is to those who look for one: its plugin's phase if it is on its way out, otherwise its health. */
export type ProviderState = HealthState | "leaving" | "draining";

/** A provider with its present state and the reason of that state. */
export interface ProviderStatus {
  readonly provider: Provider;
  readonly state: ProviderState;
  /** For people; empty if nobody gave one. */
  readonly reason: string;
}

/** Whether `plugin` does not run any more; its reason says how it ended, and what becomes of it. */
export const hasEnded = ({ phase, health }: PluginRecord): boolean =>
  phase.kind === "serving" && health.cause === "exit";

/** Whether `plugin` runs and has nothing but a link, and that is broken. */
const isCutOff = (plugin: PluginRecord): boolean =>
  plugin.address.kind === "link" && !plugin.address.isOpen && !hasEnded(plugin);

/** The state of everything that `plugin` provides. */
export function providerState(plugin: PluginRecord): ProviderState {
  if (plugin.phase.kind !== "serving") return plugin.phase.kind;
  return isCutOff(plugin) ? "unhealthy" : plugin.health.state;
}

/** Whether calls to `plugin` failed, and nothing else is wrong with it. */
export const isEjected = ({ phase, health }: PluginRecord): boolean =>
  phase.kind === "serving" && health.state === "unhealthy" && health.cause === "traffic";

/** Why `plugin` is in its state; empty if nobody said. */
function providerReason(plugin: PluginRecord): string {
  if (plugin.phase.kind !== "serving") return plugin.phase.reason;
  return isCutOff(plugin) ? "its link is broken until it has dialled again" : plugin.health.reason;
}

/** A provider with the state that it has now. */
export const providerStatus = (provider: Provider): ProviderStatus => ({
  provider,
  state: providerState(provider.plugin),
  reason: providerReason(provider.plugin),
});
