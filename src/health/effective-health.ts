import type { HealthCause, HealthState, HealthVerdict } from "../model/health.js";

/** One source's opinion of a plugin. */
export interface HealthOpinion {
  readonly verdict: HealthVerdict;
  readonly reason: string;
}

/** All opinions of a plugin; undefined where a source has none yet. */
export interface HealthOpinions {
  readonly reported: HealthOpinion | undefined;
  readonly polled: HealthOpinion | undefined;
  readonly traffic: HealthOpinion | undefined;
  readonly exit: HealthOpinion | undefined;
}

/** The state that follows from all opinions. */
export interface EffectiveHealth {
  readonly state: HealthState;
  readonly cause: HealthCause;
  readonly reason: string;
}

const severity: Record<HealthVerdict, number> = { healthy: 0, degraded: 1, unhealthy: 2 };

/**
 * The worst opinion wins; among equals an exit comes before the plugin's own report, then the poll, then traffic. A
 * plugin that neither reported nor answered a poll yet is `unready`, unless something bad is known of it. Pure.
 */
export function effectiveHealth(opinions: HealthOpinions): EffectiveHealth {
  const all: readonly (readonly [HealthCause, HealthOpinion | undefined])[] = [
    ["exit", opinions.exit],
    ["reported", opinions.reported],
    ["polled", opinions.polled],
    ["traffic", opinions.traffic],
  ];
  let worst: EffectiveHealth | undefined;
  for (const [cause, opinion] of all) {
    if (opinion === undefined) continue;
    if (worst === undefined || severity[opinion.verdict] > severity[worst.state as HealthVerdict]) {
      worst = { state: opinion.verdict, cause, reason: opinion.reason };
    }
  }
  // Traffic alone proves that something answers, not that the plugin is ready.
  const wasAsked = opinions.reported !== undefined || opinions.polled !== undefined;
  if (worst === undefined || (worst.state === "healthy" && !wasAsked)) {
    return { state: "unready", cause: "start", reason: "not seen healthy yet" };
  }
  return worst;
}
