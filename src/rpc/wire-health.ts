import { invalid } from "../errors.js";
import { HealthState as WireHealthState } from "../gen/connectplugin/v1/common_pb.js";
import type { HealthVerdict } from "../model/health.js";

/**
 * A health state as it comes over the wire; undefined for unspecified, which says nothing.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` for a number that the contract does not know
 */
export function fromWireHealth(state: WireHealthState): HealthVerdict | undefined {
  switch (state) {
    case WireHealthState.UNSPECIFIED:
      return undefined;
    case WireHealthState.HEALTHY:
      return "healthy";
    case WireHealthState.DEGRADED:
      return "degraded";
    case WireHealthState.UNHEALTHY:
      return "unhealthy";
    default:
      throw invalid("state", `must be 1 (healthy), 2 (degraded) or 3 (unhealthy), got ${String(state)}`);
  }
}
