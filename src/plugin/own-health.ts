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

/** The plugin's own health, healthy until it says otherwise. */
export class OwnHealth {
  readonly #changes = new Emitter<{ change: OwnHealthReport }>();
  #current: OwnHealthReport = Object.freeze({
    state: "healthy",
    reason: "",
    unavailableDependencies: Object.freeze([]),
  });

  get current(): OwnHealthReport {
    return this.#current;
  }

  /** @throws PluginHostError `INVALID_ARGUMENT` if `state` is none */
  report(state: HealthVerdict, reason: string, unavailableDependencies: readonly string[]): void {
    if (!Object.hasOwn(wireStates, state)) {
      throw invalid("state", `must be "healthy", "degraded" or "unhealthy", got ${JSON.stringify(state)}`);
    }
    this.#current = Object.freeze({
      state,
      reason,
      unavailableDependencies: Object.freeze([...unavailableDependencies]),
    });
    this.#changes.emit("change", this.#current);
  }

  onChange(listener: (report: OwnHealthReport) => void): Unsubscribe {
    return this.#changes.on("change", listener);
  }
}
