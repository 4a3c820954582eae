import { PluginHostError } from "../errors.js";
import { instantMs } from "./limits.js";
import { assertServing, type LivePlugin } from "./live-plugin.js";
import { missingDependency } from "./missing-dependency.js";
import type { Operation } from "./operation.js";
import { PluginStart } from "./plugin-start.js";
import { runStart } from "./run-start.js";
import type { StartContext, StartSpec } from "./start-spec.js";

/** What is started again. */
export interface RestartSpec extends StartSpec {
  /** The incarnation that has ended. */
  readonly before: LivePlugin;
  /** Whether the new incarnation may call itself something else: nobody ever heard what the old one does. */
  readonly isNameOpen: boolean;
  /** Called as the last thing before everybody sees the new incarnation. What it returns is called right after. */
  readonly onCommit: (plugin: LivePlugin) => () => void;
}

/**
 * Starts a plugin again that has ended, in five steps: `validate`, `start`, `health`, `register`, `switch`. The new
 * incarnation has an identity of its own. Nobody sees it before the switch, which is one revision: the old one goes, the
 * new one comes with all its services, and the old id leads to it. If a step fails, nothing of the new one is left.
 */
export async function restartPlugin(
  context: StartContext,
  operation: Operation,
  spec: RestartSpec,
): Promise<LivePlugin> {
  const { before, limits, isNameOpen, onCommit } = spec;
  const { directory, ports } = context;
  const start = new PluginStart(context, operation, spec, before.runtimeId);
  operation.runtimeId = before.runtimeId;
  await runStart(start, operation, async () => {
    await operation.step("validate", instantMs, () => {
      const missing = missingDependency(ports.dependencies, before.requires, before.runtimeId);
      if (missing !== undefined) throw dependencyMissing(before, missing.dependency.type, missing.problem);
    });
    await operation.step("start", limits.describeMs + limits.identifyMs, async (signal) => {
      await start.launch(signal);
      await start.describe(signal);
      const selfId = start.declaration?.selfId;
      if (!isNameOpen && selfId !== before.selfId) {
        throw new PluginHostError(
          "DECLARATION_MISMATCH",
          `${before.runtimeId} calls itself ${selfId} now; replace it if that is meant`,
        );
      }
      start.checkDependencies();
      await start.identify(signal);
    });
    await operation.step("health", Number.POSITIVE_INFINITY, (signal) =>
      start.becomeHealthy(signal, ({ state }) => state === "healthy" || state === "degraded"),
    );
    await operation.step("register", instantMs, () => start.register());
    await operation.step("switch", instantMs, () => {
      // Between two steps others get their turn; only what is looked at now holds for the switch.
      start.checkDependencies();
      assertServing(before);
      start.release();
      const committed = onCommit(start.plugin);
      directory.comeBack(before, start.plugin);
      operation.commit();
      committed();
    });
  });
  return start.plugin;
}

const dependencyMissing = ({ runtimeId }: LivePlugin, type: string, problem: string): PluginHostError =>
  new PluginHostError("DEPENDENCY_MISSING", `${runtimeId} requires ${type}: ${problem}`, { details: { type } });
