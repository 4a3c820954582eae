/** What a report, a poll or the traffic can say of a plugin. */
export type HealthVerdict = "healthy" | "degraded" | "unhealthy";

/** The effective health of a plugin; `unready` until it was seen healthy or degraded for the first time. */
export type HealthState = "unready" | HealthVerdict;

/** Who caused the present health state. */
export type HealthCause = "start" | "reported" | "polled" | "traffic" | "exit" | "operator";

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
