import { drain } from "./drain.js";
import type { StepLimits } from "./limits.js";
import { instantMs } from "./limits.js";
import type { LivePlugin } from "./live-plugin.js";
import type { Operation } from "./operation.js";
import type { Impact } from "./ports.js";
import { shutDown } from "./shut-down.js";
import type { StartContext } from "./start-spec.js";

/** What to remove, and how patiently. */
export interface RemoveSpec {
  readonly plugin: LivePlugin;
  readonly reason: string;
  readonly limits: StepLimits;
}

/**
 * Removes a plugin in five steps: `impact`, `notify` (dependants are told and get time to react), `unregister`,
 * `shutdown` (calls in flight end first), `forget`. Up to `notify` it can be called off; then it goes on to the end.
 */
export async function removePlugin(context: StartContext, operation: Operation, spec: RemoveSpec): Promise<Impact> {
  const { plugin, reason, limits } = spec;
  const { directory, ports, stopBudget } = context;
  const { clock } = ports;
  operation.runtimeId = plugin.runtimeId;
  try {
    const impact = await operation.step("impact", instantMs, () => ports.dependencies.impact(plugin.runtimeId));
    await operation.step("notify", Number.POSITIVE_INFINITY, async (signal) => {
      plugin.phase = { kind: "leaving", reason };
      operation.onRollback(() => {
        plugin.phase = { kind: "serving" };
        directory.publish(plugin);
      });
      await letDependantsReact(context, spec, impact, signal);
    });
    await operation.step("unregister", instantMs, () => {
      directory.withdraw(plugin, reason);
      operation.commit();
    });
    const warn = (error: unknown): void =>
      ports.emit("warning", { message: `${plugin.runtimeId} did not shut down cleanly`, error });
    // Nobody waits for the plugin any more, so what fails from here on does not keep it from going.
    await operation
      .step("shutdown", limits.drainMs + limits.shutdownMs + instantMs, async (signal) => {
        await drain(clock, plugin, limits.drainMs, stopBudget.drained);
        if (!directory.isAlone(plugin)) return;
        const graceMs = Math.min(limits.shutdownMs, stopBudget.leftMs());
        await shutDown(plugin, { clock, graceMs, reason, signal });
      })
      .catch(warn);
    await operation.step("forget", instantMs, () => directory.retire(plugin, reason)).catch(warn);
    return impact;
  } catch (error) {
    await operation.rollback();
    throw error;
  }
}

async function letDependantsReact(
  { directory, ports, stopBudget }: StartContext,
  { plugin, limits }: RemoveSpec,
  impact: Impact,
  signal: AbortSignal,
): Promise<void> {
  const { stopping } = stopBudget;
  const enough = new AbortController();
  const stop = (): void => enough.abort();
  const limit = ports.clock.after(limits.graceMs, stop, true);
  signal.addEventListener("abort", stop, { once: true });
  stopping.addEventListener("abort", stop, { once: true });
  if (stopping.aborted || limits.graceMs === 0) stop();
  try {
    const types = new Set(impact.affectedServices);
    const dependants = [...impact.affectedPlugins, ...impact.optionalImpact];
    // The wait begins before the change is visible, so that no reaction can come too early to be counted.
    const reacted = directory.reactions.wait(dependants, types, enough.signal);
    directory.publish(plugin);
    await reacted;
  } finally {
    limit.cancel();
    signal.removeEventListener("abort", stop);
    stopping.removeEventListener("abort", stop);
  }
}
