import { checkObject } from "./http/check-object.js";
import type { StepLimits } from "./lifecycle/limits.js";
import { checkNumber } from "./model/limits.js";

const defaultLimits: StepLimits = Object.freeze({
  describeMs: 10_000,
  connectGraceMs: 2_000,
  identifyMs: 5_000,
  healthMs: 30_000,
  graceMs: 5_000,
  drainMs: 30_000,
  shutdownMs: 5_000,
});

/** Fills in what `given` leaves open. @throws PluginHostError `INVALID_ARGUMENT` */
export function resolveLimits(field: string, given: Partial<StepLimits> = {}, base = defaultLimits): StepLimits {
  checkObject(field, given, Object.keys(base));
  const limits = { ...base };
  for (const name of Object.keys(base) as (keyof StepLimits)[]) {
    const value = given[name];
    if (value !== undefined) limits[name as "drainMs"] = checkNumber(`${field}.${name}`, value, 0);
  }
  return Object.freeze(limits);
}
