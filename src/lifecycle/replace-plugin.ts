import { PluginHostError } from "../errors.js";
import type { Health } from "../model/health.js";
import { drain, shutDown } from "./drain.js";
import type { LivePlugin } from "./live-plugin.js";
import type { Operation } from "./operation.js";
import { PluginStart, type StartContext, type StartSpec } from "./plugin-start.js";

// Bookkeeping without any waiting; the limit is there so that every step has one.
const instantMs = 1_000;

/** What takes the place of what. */
export interface ReplaceSpec extends StartSpec {
  readonly before: LivePlugin;
  /** Whether the new plugin may lack what dependants of the old one require. */
  readonly allowMissingServices: boolean;
}

/**
 * Replaces a plugin in seven steps: `start`, `health`, `register`, `switch`, `drain`, `shutdown`, `forget`. Until the switch,
 * which is one revision, the old plugin serves as before and a failure leaves nothing of the new one. After it the new
 * plugin stays, whatever becomes of the old one.
 */
export async function replacePlugin(
  context: StartContext,
  operation: Operation,
  spec: ReplaceSpec,
): Promise<LivePlugin> {
  const { directory, ports } = context;
  const { before, limits } = spec;
  const start = new PluginStart(context, operation, spec);
  operation.runtimeId = before.runtimeId;
  const reason = `replaced by a new ${before.selfId}`;
  try {
    await operation.step("start", limits.describeMs + limits.identifyMs, async (signal) => {
      await start.launch(signal);
      await start.describe(signal);
      start.checkDependencies();
      await start.identify(signal);
      if (start.plugin === before) {
        throw new PluginHostError(
          "ENDPOINT_IN_USE",
          `that endpoint is ${before.runtimeId} itself; start the new one beside it`,
        );
      }
    });
    await operation.step("health", Number.POSITIVE_INFINITY, (signal) =>
      start.becomeHealthy(signal, (health) => isNoWorse(health, before)),
    );
    await operation.step("register", instantMs, () => {
      start.register();
      checkOffers(context, spec, start);
    });
    await operation.step("switch", instantMs, () => {
      if (before.visibility.kind === "committed") directory.switchOver(before, start.plugin, reason);
      else directory.commit(start.plugin);
      operation.commit();
    });
  } catch (error) {
    await operation.rollback();
    throw error;
  } finally {
    start.close();
  }
  const warn = (error: unknown): void =>
    ports.emit("warning", { message: `${before.runtimeId} did not go cleanly after its replacement`, error });
  await operation
    .step("drain", limits.drainMs + instantMs, () => drain(ports.clock, before, limits.drainMs))
    .catch(warn);
  await operation
    .step("shutdown", limits.shutdownMs + instantMs, (signal) => shutDown(before, limits.shutdownMs, reason, signal))
    .catch(warn);
  await operation.step("forget", instantMs, () => directory.retire(before, reason)).catch(warn);
  return start.plugin;
}

/** A replacement must be healthy if what it replaces is; otherwise degraded will do. */
function isNoWorse({ state }: Health, before: LivePlugin): boolean {
  if (state === "healthy") return true;
  return state === "degraded" && before.health.current.state !== "healthy";
}

function checkOffers({ ports }: StartContext, { before, allowMissingServices }: ReplaceSpec, start: PluginStart): void {
  if (allowMissingServices) return;
  const missing = ports.dependencies.missingAfterReplace(before.runtimeId, [...start.plugin.registrations.values()]);
  if (missing.length === 0) return;
  const list = missing.map(
    ({ dependant, type, minVersion }) => `${dependant} requires ${type} ${minVersion || "(any version)"}`,
  );
  throw new PluginHostError(
    "REPLACEMENT_INCOMPATIBLE",
    `the new plugin lacks what others require: ${list.join("; ")}; offer it, or set allowMissingServices`,
    { details: { missing } },
  );
}
