import { PluginHostError } from "../errors.js";
import type { Health } from "../model/health.js";
import { drain } from "./drain.js";
import { instantMs } from "./limits.js";
import type { LivePlugin } from "./live-plugin.js";
import type { Operation } from "./operation.js";
import { PluginStart } from "./plugin-start.js";
import { runStart } from "./run-start.js";
import { shutDown } from "./shut-down.js";
import type { StartContext, StartSpec } from "./start-spec.js";

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
  const { directory } = context;
  const { before, limits } = spec;
  const start = new PluginStart(context, operation, spec, before.runtimeId);
  operation.runtimeId = before.runtimeId;
  const reason = `replaced by a new ${before.selfId}`;
  let ending: LivePlugin | undefined;
  await runStart(start, operation, async () => {
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
      // Between two steps others get their turn; only what is looked at now holds for the switch.
      start.checkDependencies();
      checkOffers(context, spec, start);
      start.release();
      context.supervisor.watch(start.plugin, spec);
      ending = directory.switchOver(before, start.plugin, reason);
      operation.commit();
    });
  });
  // The new one serves, so what fails from here on is no failure of the replacement. The old one may have ended by itself.
  if (ending === undefined) return start.plugin;
  await endReplaced(context, operation, spec, { plugin: ending, reason });
  return start.plugin;
}

async function endReplaced(
  { directory, ports, stopBudget }: StartContext,
  operation: Operation,
  { limits }: ReplaceSpec,
  { plugin, reason }: { readonly plugin: LivePlugin; readonly reason: string },
): Promise<void> {
  const { clock } = ports;
  const { drainMs, shutdownMs } = limits;
  const warn = (error: unknown): void =>
    ports.emit("warning", { message: `${plugin.runtimeId} did not go cleanly after its replacement`, error });
  await operation
    .step("drain", drainMs + instantMs, () => drain(clock, plugin, drainMs, stopBudget.drained))
    .catch(warn);
  await operation
    .step("shutdown", shutdownMs + instantMs, async (signal) => {
      // A program that was started again at the old one's address must not be told to go.
      if (!directory.isAlone(plugin)) return;
      await shutDown(plugin, { clock, graceMs: Math.min(shutdownMs, stopBudget.leftMs()), reason, signal });
    })
    .catch(warn);
  await operation.step("forget", instantMs, () => directory.retire(plugin, reason)).catch(warn);
}

/** A replacement must be healthy if what it replaces is; otherwise degraded will do. */
function isNoWorse({ state }: Health, before: LivePlugin): boolean {
  if (state === "healthy") return true;
  return state === "degraded" && before.health.current.state !== "healthy";
}

function checkOffers(
  { directory, ports }: StartContext,
  { before, allowMissingServices }: ReplaceSpec,
  start: PluginStart,
): void {
  const serving = directory.servingFor(before.runtimeId);
  // Where the old one has ended, nobody loses anything.
  if (allowMissingServices || serving === undefined) return;
  const missing = ports.dependencies.missingAfterReplace(serving.runtimeId, start.offers);
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
