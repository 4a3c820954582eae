import { instantMs } from "./limits.js";
import type { LivePlugin } from "./live-plugin.js";
import type { Operation } from "./operation.js";
import { PluginStart } from "./plugin-start.js";
import { runStart } from "./run-start.js";
import type { StartContext, StartSpec } from "./start-spec.js";

/**
 * Adds a plugin in seven steps: `validate`, `describe`, `identify`, `register`, `health`, `graph`, `announce`. Nobody sees
 * anything of it before the last one; if a step fails, nothing of it is left.
 */
export async function addPlugin(context: StartContext, operation: Operation, spec: StartSpec): Promise<LivePlugin> {
  const start = new PluginStart(context, operation, spec);
  const { limits } = spec;
  await runStart(start, operation, async () => {
    await operation.step("validate", instantMs, () => start.checkDependencies());
    await operation.step("describe", limits.describeMs, async (signal) => {
      await start.launch(signal);
      await start.describe(signal);
      start.checkDependencies();
    });
    await operation.step("identify", limits.identifyMs, (signal) => start.identify(signal));
    await operation.step("register", instantMs, () => start.register());
    await operation.step("health", Number.POSITIVE_INFINITY, (signal) =>
      start.becomeHealthy(signal, ({ state }) => state === "healthy" || state === "degraded"),
    );
    // What it needs may have gone, and what it closes a circle with may have come, since it was described.
    await operation.step("graph", instantMs, () => start.checkDependencies());
    await operation.step("announce", instantMs, () => {
      // Between two steps others get their turn; only what is looked at now holds for the commit.
      start.checkDependencies();
      start.release();
      context.supervisor.watch(start.plugin, spec);
      context.directory.commit(start.plugin);
      operation.commit();
    });
  });
  return start.plugin;
}
