import { checkObject } from "./http/check-object.js";
import { checkNumber } from "./model/limits.js";
import { checkBoolean } from "./option-checks.js";

/** Settings of the grants with which plugins use what the host offers. */
export interface GrantOptions {
  /** How long a grant is good. @default 1 h */
  readonly ttlMs?: number;
  /** Most grants of one plugin that are good at once; all callers without an identity count as one. @default 100 */
  readonly maxPerPlugin?: number;
  /** Whether callers without a plugin's identity may request capabilities. @default false */
  readonly allowAnonymous?: boolean;
}

/** Checks the platform's option and fills in the defaults. @throws PluginHostError `INVALID_ARGUMENT` */
export function resolveGrants(given: GrantOptions = {}): Required<GrantOptions> {
  checkObject("grants", given, ["ttlMs", "maxPerPlugin", "allowAnonymous"]);
  return Object.freeze({
    ttlMs: checkNumber("grants.ttlMs", given.ttlMs ?? 3_600_000, 1),
    maxPerPlugin: checkNumber("grants.maxPerPlugin", given.maxPerPlugin ?? 100, 1),
    allowAnonymous: checkBoolean("grants.allowAnonymous", given.allowAnonymous ?? false),
  });
}
