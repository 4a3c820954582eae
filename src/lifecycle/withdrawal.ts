import type { Change, Registration } from "../model/catalog.js";
import type { LivePlugin } from "./live-plugin.js";

/** What taking all services of a plugin away changes. */
export interface Withdrawal {
  readonly changes: readonly Change[];
  readonly withdrawn: readonly Registration[];
}

/** Nobody is withdrawn. */
export const nothingWithdrawn: Withdrawal = Object.freeze({ changes: [], withdrawn: [] });

/** Takes all services from a visible plugin, which drains from now on. The caller makes the changes visible. */
export function withdrawalOf(plugin: LivePlugin, reason: string): Withdrawal {
  const withdrawn = [...plugin.registrations.values()];
  plugin.registrations.clear();
  plugin.phase = { kind: "draining", reason };
  return {
    changes: [
      { kind: "plugin-put", plugin: plugin.record() },
      ...withdrawn.map(({ registrationId }): Change => ({ kind: "registration-removed", registrationId })),
    ],
    withdrawn,
  };
}
