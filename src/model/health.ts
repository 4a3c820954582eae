/** What a report, a poll or the traffic can say of a plugin. */
export type HealthVerdict = "healthy" | "degraded" | "unhealthy";

/** The effective health of a plugin; `unready` until it was seen healthy or degraded for the first time. */
export type HealthState = "unready" | HealthVerdict;

/** Who caused the present health state. */
export type HealthCause = "start" | "reported" | "polled" | "traffic" | "exit" | "operator";

/**
 * What calls say of a plugin. `passing`: its calls are answered, but for the last `failures`. `ejected`: too many failed
 * in a row; nobody is sent to it before `until` (milliseconds since 1970). `trial`: after an ejection, until one call was
 * answered; one call at a time is let through. `ejections` counts those in a row.
 */
export type TrafficState =
  | { readonly kind: "passing"; readonly failures: number }
  | { readonly kind: "ejected"; readonly until: number; readonly ejections: number }
  | { readonly kind: "trial"; readonly ejections: number };

/** The calls that a plugin is working on, as far as its trial is concerned. */
export interface TrialCalls {
  /** How many of them have entered since the last `countNewcomers`. */
  readonly newcomers: number;
  countNewcomers(): void;
}

/** Lets one call at a time through to a plugin that is on trial. */
export interface TrialGate {
  /** Whether a call is on its way and has not been answered. */
  readonly isTaken: boolean;
  /** The next one that enters `calls` is the trial, until it leaves, whatever became of it. */
  take(calls: TrialCalls): void;
}

/** One effective health state with its reason, as watchers, events and refusals show it. */
export interface Health {
  readonly state: HealthState;
  readonly cause: HealthCause;
  /** For people; empty if the plugin gave none. */
  readonly reason: string;
  /** Milliseconds since 1970 of the change to this state. */
  readonly since: number;
  /** Service types that the plugin said it misses. */
  readonly unavailableDependencies: readonly string[];
}
