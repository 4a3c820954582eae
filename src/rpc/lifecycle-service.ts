import type { ServiceImpl } from "@connectrpc/connect";
import { invalid } from "../errors.js";
import type { PluginLifecycle } from "../gen/connectplugin/v1/lifecycle_pb.js";
import type { HealthVerdict } from "../model/health.js";
import { checkName } from "../model/limits.js";
import { callingPlugin } from "./caller.js";
import { fromWireHealth } from "./wire-health.js";

const maxReasonBytes = 4096;
const maxDependencies = 100;

/** What health reports work on. */
export interface LifecyclePort {
  report(runtimeId: string, verdict: HealthVerdict, reason: string, unavailableDependencies: readonly string[]): void;
}

/** `connectplugin.v1.PluginLifecycle`. A plugin reports for itself only, so there is nothing to name. */
export const lifecycleRpc = (port: LifecyclePort): ServiceImpl<typeof PluginLifecycle> => ({
  reportHealth(request, context) {
    const { runtimeId } = callingPlugin(context);
    const { reason, unavailableDependencies } = request;
    if (Buffer.byteLength(reason) > maxReasonBytes) {
      throw invalid("reason", `is ${Buffer.byteLength(reason)} bytes long; at most ${maxReasonBytes} are allowed`);
    }
    if (unavailableDependencies.length > maxDependencies) {
      const count = unavailableDependencies.length;
      throw invalid("unavailable_dependencies", `has ${count} entries; at most ${maxDependencies} are allowed`);
    }
    unavailableDependencies.forEach((type, i) => checkName(`unavailable_dependencies[${i}]`, type));
    const verdict = fromWireHealth(request.state);
    if (verdict !== undefined) port.report(runtimeId, verdict, reason, unavailableDependencies);
    return {};
  },
});
