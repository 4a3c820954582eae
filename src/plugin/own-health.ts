import { invalid } from "../errors.js";
import { HealthState } from "../gen/connectplugin/v1/common_pb.js";
import { Emitter, type Unsubscribe } from "../internal/emitter.js";
import type { HealthVerdict } from "../model/health.js";

/** What the plugin last said of itself. */
export interface OwnHealthReport {
  readonly state: HealthVerdict;
  readonly reason: string;
  readonly unavailableDependencies: readonly string[];
}

const wireStates = {
  healthy: HealthState.HEALTHY,
  degraded: HealthState.DEGRADED,
  unhealthy: HealthState.UNHEALTHY,
} satisfies Record<HealthVerdict, HealthState>;

/** The message of GetHealth's answer and ReportHealth's request. */
export const toWireHealth = ({ state, reason, unavailableDependencies }: OwnHealthReport) => ({
  state: wireStates[state],
  reason,
  unavailableDependencies: [...unavailableDependencies],
});

const worstFirst: readonly HealthVerdict[] = ["unhealthy", "degraded", "healthy"];

const healthy: OwnHealthReport = Object.freeze({
  state: "healthy",
  reason: "",
  unavailableDependencies: Object.freeze([]),
});

/** The plugin's own health: the worst of what it has reported and of what is held against it. Healthy at first. */
export class OwnHealth {
  readonly #changes = new Emitter<{ change: OwnHealthReport }>();
  readonly #held = new Set<OwnHealthReport>();
  #reported = healthy;
  #current = healthy;

  get current(): OwnHealthReport {
    return this.#current;
  }

  /** Tells listeners also if it is the same again. @throws PluginHostError `INVALID_ARGUMENT` if `state` is none */
  report(state: HealthVerdict, reason: string, unavailableDependencies: readonly string[]): void {
    this.#reported = reportOf(state, reason, unavailableDependencies);
    this.#current = merged([this.#reported, ...this.#held]);
    this.#changes.emit("change", this.#current);
  }

  /** Something that makes the plugin worse until the result is called. Calling it twice does nothing. */
  hold(state: HealthVerdict, reason: string, unavailableDependencies: readonly string[]): () => void {
    const report = reportOf(state, reason, unavailableDependencies);
    this.#held.add(report);
    this.#update();
    return () => {
      if (this.#held.delete(report)) this.#update();
    };
  }

  onChange(listener: (report: OwnHealthReport) => void): Unsubscribe {
    return this.#changes.on("change", listener);
  }

  #update(): void {
    const next = merged([this.#reported, ...this.#held]);
    if (isSame(next, this.#current)) return;
    this.#current = next;
    this.#changes.emit("change", next);
  }
}

function reportOf(state: HealthVerdict, reason: string, dependencies: readonly string[]): OwnHealthReport {
  if (!Object.hasOwn(wireStates, state)) {
    throw invalid("state", `must be "healthy", "degraded" or "unhealthy", got ${JSON.stringify(state)}`);
  }
  return Object.freeze({ state, reason, unavailableDependencies: Object.freeze([...dependencies]) });
}

/** The worst state, with the reasons of all that are not healthy. */
function merged(reports: readonly OwnHealthReport[]): OwnHealthReport {
  const [only = healthy, ...others] = reports;
  if (others.length === 0) return only;
  const bad = reports.filter(({ state }) => state !== "healthy");
  if (bad.length === 0) return only;
  const state = worstFirst.find((one) => bad.some((report) => report.state === one)) ?? "healthy";
  const reason = [...new Set(bad.map((report) => report.reason))].filter((text) => text !== "").join("; ");
  return reportOf(state, reason, [...new Set(bad.flatMap((report) => report.unavailableDependencies))]);
}

const isSame = (a: OwnHealthReport, b: OwnHealthReport): boolean =>
  a.state === b.state && a.reason === b.reason && a.unavailableDependencies.join() === b.unavailableDependencies.join();
