import { checkObject } from "./http/check-object.js";
import { checkNumber } from "./model/limits.js";

/** Health settings. */
export interface HealthOptions {
  /** Time between two polls of a plugin. @default 10_000 */
  readonly intervalMs?: number;
  /** Limit of one poll. @default 2_000 */
  readonly timeoutMs?: number;
  /** Time to the next poll after a failed one; it doubles up to `intervalMs`. @default 250 */
  readonly retryMs?: number;
  /** How long failed polls of a plugin that was never seen do not count. @default 5_000 */
  readonly startGraceMs?: number;
  /** Failed polls in a row that make a plugin unhealthy. @default 3 */
  readonly fallThreshold?: number;
  /** Good polls in a row that make it healthy again. @default 2 */
  readonly riseThreshold?: number;
  /** Failed calls in a row that eject a plugin. @default 5 */
  readonly ejectAfterFailures?: number;
  /** First ejection; each further one in a row is twice as long. @default 1_000 */
  readonly ejectMs?: number;
  /** Longest ejection. @default 30_000 */
  readonly maxEjectMs?: number;
}

/** Lowest allowed value and default of each. */
const healthNumbers: Readonly<Record<keyof HealthOptions, readonly [min: number, fallback: number]>> = {
  intervalMs: [1, 10_000],
  timeoutMs: [1, 2_000],
  retryMs: [1, 250],
  startGraceMs: [0, 5_000],
  fallThreshold: [1, 3],
  riseThreshold: [1, 2],
  ejectAfterFailures: [1, 5],
  ejectMs: [1, 1_000],
  maxEjectMs: [1, 30_000],
};

/** Checks the platform's option and fills in the defaults. @throws PluginHostError `INVALID_ARGUMENT` */
export function resolveHealth(given: HealthOptions = {}): Required<HealthOptions> {
  const names = Object.keys(healthNumbers) as (keyof HealthOptions)[];
  checkObject("health", given, names);
  const resolved = names.map((name) => {
    const [min, fallback] = healthNumbers[name];
    return [name, checkNumber(`health.${name}`, given[name] ?? fallback, min)] as const;
  });
  return Object.freeze(Object.fromEntries(resolved) as unknown as Required<HealthOptions>);
}
