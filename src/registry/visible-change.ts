import type { PluginRecord, Registration } from "../model/catalog.js";

/** Whether two sets of metadata have the same entries. */
export function sameMetadata(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  if (a === b) return true;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}

const reasonOf = (plugin: PluginRecord): string => (plugin.phase.kind === "serving" ? "" : plugin.phase.reason);

/** Whether someone who looks for the plugin's services sees a difference between two records of it. */
export const pluginLooksDifferent = (a: PluginRecord, b: PluginRecord): boolean =>
  a.health.state !== b.health.state ||
  a.health.reason !== b.health.reason ||
  a.phase.kind !== b.phase.kind ||
  reasonOf(a) !== reasonOf(b) ||
  a.address !== b.address ||
  a.selfId !== b.selfId ||
  a.selfVersion !== b.selfVersion ||
  !sameMetadata(a.metadata, b.metadata);

/** Whether someone who looks for the service sees a difference between two states of one registration. */
export const registrationLooksDifferent = (a: Registration, b: Registration): boolean =>
  a.version !== b.version || a.path !== b.path || !sameMetadata(a.metadata, b.metadata);
