import { invalid } from "./errors.js";
import { checkObject } from "./http/check-object.js";
import type { RestartPolicy } from "./lifecycle/crash-history.js";
import type { SupervisionSpec } from "./lifecycle/supervision-spec.js";
import { checkNumber } from "./model/limits.js";
import type { Importance } from "./model/supervision.js";
import { checkFunction, checkOneOf, checkWhole } from "./option-checks.js";

/** How plugins that end are started again. */
export interface RestartOptions {
  /**
   * Back-off before the first start in a row, in milliseconds; it doubles with each further one. Half of it is certain, the
   * other half is up to chance (equal jitter). @default 500
   */
  readonly firstDelayMs?: number;
  /** Longest back-off. @default 30_000 */
  readonly maxDelayMs?: number;
  /** A run of this length was a good one: the next end is the first in a row again. @default 60_000 */
  readonly resetAfterMs?: number;
  /** Ends and failed starts within `crashWindowMs` that make a crash loop; `Infinity` for none. @default 5 */
  readonly maxCrashes?: number;
  /** @default 300_000 */
  readonly crashWindowMs?: number;
}

/** Settings of supervision that hold for all plugins which say nothing else. */
export interface SupervisionOptions extends RestartOptions {
  /** Where chance comes from: a number from 0 up to, and without, 1. @default Math.random */
  readonly random?: () => number;
}

/** What a spec says of a plugin's supervision. */
export interface SupervisedSpec {
  /**
   * How it is started again when it ends: `false` for never, an object for what is to differ from the platform's option
   * `supervision`. Of no effect on endpoints, which the host does not start. @default the platform's
   */
  readonly restart?: false | RestartOptions;
  /**
   * What it means for the host when it does not run. `required`: its failed start fails its set, and the host is not ready
   * while it is down. `degrade`: if its start in a set fails it is tried again, and the host is ready but degraded.
   * `optional`: its failed start in a set is a warning, it is not tried again by itself, and the host is ready. @default "required"
   */
  readonly importance?: Importance;
}

/** Settings of supervision that were checked. */
export interface ResolvedSupervision {
  /** Undefined if nothing is started again that does not say so. */
  readonly restart: RestartPolicy | undefined;
  readonly random: () => number;
}

const defaultRestart: RestartPolicy = Object.freeze({
  firstDelayMs: 500,
  maxDelayMs: 30_000,
  resetAfterMs: 60_000,
  maxCrashes: 5,
  crashWindowMs: 300_000,
});

const names = Object.keys(defaultRestart);

const importances = ["required", "degrade", "optional"] as const satisfies readonly Importance[];

/** Checks the platform's option and fills in the defaults. @throws PluginHostError `INVALID_ARGUMENT` */
export function resolveSupervision(given: SupervisionOptions | false = {}): ResolvedSupervision {
  if (given === false) return Object.freeze({ restart: undefined, random: Math.random });
  checkObject("supervision", given, [...names, "random"]);
  const { random, ...restart } = given;
  return Object.freeze({
    restart: resolveRestart("supervision", restart, defaultRestart),
    random: checkFunction("supervision.random", random) ?? Math.random,
  });
}

/**
 * What a spec says, with `base` where it says nothing: the platform's settings, or those of what it takes the place of.
 *
 * @throws PluginHostError `INVALID_ARGUMENT`
 */
export function resolveSupervised(given: SupervisedSpec, base: Partial<SupervisionSpec>): SupervisionSpec {
  const { restart, importance = base.importance ?? "required" } = given;
  checkOneOf("importance", importance, importances);
  if (restart === undefined) return Object.freeze({ restart: base.restart, importance });
  if (restart === false) return Object.freeze({ restart: undefined, importance });
  if (typeof restart !== "object" || restart === null) {
    throw invalid("restart", `must be false or an object, got ${String(restart)}`);
  }
  return Object.freeze({ restart: resolveRestart("restart", restart, base.restart ?? defaultRestart), importance });
}

function resolveRestart(field: string, given: RestartOptions, base: RestartPolicy): RestartPolicy {
  checkObject(field, given, names);
  const { firstDelayMs, maxDelayMs, resetAfterMs, maxCrashes, crashWindowMs } = { ...base, ...withoutUndefined(given) };
  if (maxCrashes !== Number.POSITIVE_INFINITY) checkWhole(`${field}.maxCrashes`, maxCrashes, 1, 1_000);
  return Object.freeze({
    firstDelayMs: checkNumber(`${field}.firstDelayMs`, firstDelayMs, 0),
    maxDelayMs: checkNumber(`${field}.maxDelayMs`, maxDelayMs, firstDelayMs),
    resetAfterMs: checkNumber(`${field}.resetAfterMs`, resetAfterMs, 1),
    maxCrashes,
    crashWindowMs: checkNumber(`${field}.crashWindowMs`, crashWindowMs, 1),
  });
}

const withoutUndefined = (given: RestartOptions): RestartOptions =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
