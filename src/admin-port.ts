import { pathToFileURL } from "node:url";
import { invalid, PluginHostError } from "./errors.js";
import { eventNames, streamEvents } from "./event-stream.js";
import type { Host } from "./host.js";
import { findPlugin, importPlugin } from "./import-plugin.js";
import type { Timer } from "./internal/clock.js";
import { checkDeclaration } from "./lifecycle/declaration-check.js";
import type { SupervisionSpec } from "./lifecycle/supervision-spec.js";
import { resolveLimits } from "./limit-options.js";
import type { PlatformEvents } from "./model/platform-events.js";
import { planOperation } from "./plan.js";
import { type PluginSource, toStartSpec } from "./plugin-source.js";
import { type SelectionStrategy, selectionStrategyNames } from "./registry/selection/selector.js";
import type { ServiceListing } from "./registry/service-registry.js";
import type { AdminPort, AdminServiceListing, AdminSpec } from "./rpc/admin-service.js";
import type { AdminSource } from "./rpc/admin-wire.js";

/** What operators may do with a host, in terms of its parts. */
export function createAdminPort(host: Host): AdminPort {
  const { lifecycle, directory, registry, graph } = host;
  const toListing = ({ type, providers }: ServiceListing): AdminServiceListing => {
    const strategy = registry.selectionStrategy(type, "discover");
    return {
      type,
      strategy: typeof strategy === "function" ? "custom" : strategy,
      providers: providers.map(({ provider: { registration }, state, reason }) => ({
        runtimeId: registration.runtimeId,
        version: registration.version,
        path: registration.path,
        state,
        reason,
      })),
    };
  };
  return {
    addPlugin: (spec) =>
      withTimeout(host, spec, async (signal) => host.viewOf(await lifecycle.add(await toSpec(host, spec), signal))),
    replacePlugin: (runtimeId, { allowMissingServices, ...spec }) =>
      withTimeout(host, spec, async (signal) => {
        const start = await toSpec(host, spec, lifecycle.termsOf(runtimeId));
        return host.viewOf(await lifecycle.replace(runtimeId, { ...start, allowMissingServices }, signal));
      }),
    removePlugin: (runtimeId, reason, graceMs) =>
      lifecycle.remove(runtimeId, {
        reason: reason === "" ? "removed by an operator" : reason,
        limits: resolveLimits("limits", graceMs === undefined ? {} : { graceMs }, host.sources.limits),
        signal: undefined,
      }),
    releasePlugin: async (runtimeId) => host.viewOf(await lifecycle.release(runtimeId)),
    plugin: (runtimeId) => host.viewOf(directory.committed(runtimeId)),
    plugins: () => host.visiblePlugins().map((plugin) => host.viewOf(plugin)),
    services: () =>
      registry
        .services()
        .map(toListing)
        .sort((a, b) => (a.type < b.type ? -1 : 1)),
    startupLevels: () => graph.startupLevels(),
    impact: (runtimeId) => graph.impact(directory.committed(runtimeId).runtimeId),
    plan: (operation) => {
      const checked =
        operation.kind === "remove"
          ? operation
          : { ...operation, declaration: checkDeclaration("declares", operation.declaration) };
      return planOperation(checked, {
        dependencies: host.dependencies,
        committed: (runtimeId) => directory.committed(runtimeId),
      });
    },
    setSelectionStrategy: (type, strategy) =>
      registry.setSelectionStrategy(type, strategy === "" ? undefined : checkStrategyName(strategy)),
    events: (names, signal) => {
      const wanted = names.length === 0 ? eventNames.filter((name) => name !== "call" && name !== "changed") : names;
      return streamEvents(host.events, wanted.map(checkEventName), host.clock, {
        gone: signal,
        over: host.stopped,
      });
    },
  };
}

async function toSpec(host: Host, { source, declares }: AdminSpec, replaces?: SupervisionSpec) {
  const start = toStartSpec(await toSource(source), host.sources, replaces);
  return declares === undefined ? start : { ...start, declares: checkDeclaration("declares", declares) };
}

async function toSource(source: AdminSource): Promise<PluginSource> {
  switch (source.kind) {
    case "endpoint":
      return { endpoint: source.url };
    case "module":
      if (source.worker) return { worker: pathToFileURL(findPlugin(source.specifier)) };
      return { module: await importPlugin(source.specifier) };
    case "process": {
      const [command = "", ...args] = source.command;
      return { command, args, env: source.env, ...(source.cwd === "" ? undefined : { cwd: source.cwd }) };
    }
  }
}

/** Runs an operation that is called off when its time is over or the one who asked for it is gone. */
async function withTimeout<T>(host: Host, spec: AdminSpec, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const end = new AbortController();
  const onGone = (): void => end.abort(spec.signal.reason);
  if (spec.signal.aborted) onGone();
  else spec.signal.addEventListener("abort", onGone, { once: true });
  let isOver = false;
  let timer: Timer | undefined;
  const { timeoutMs } = spec;
  if (timeoutMs !== undefined) {
    const over = (): void => {
      isOver = true;
      end.abort(new Error(`${timeoutMs} ms were over`));
    };
    timer = host.clock.after(timeoutMs, over);
  }
  try {
    return await run(end.signal);
  } catch (error) {
    if (!isOver || !(error instanceof PluginHostError) || error.code !== "OPERATION_ABORTED") throw error;
    const step = error.step === undefined ? {} : { step: error.step };
    throw new PluginHostError("STEP_TIMEOUT", `not done within ${timeoutMs} ms`, { ...step, cause: error });
  } finally {
    timer?.cancel();
    spec.signal.removeEventListener("abort", onGone);
  }
}

function checkStrategyName(name: string): SelectionStrategy {
  const known = selectionStrategyNames.find((strategy) => strategy === name);
  if (known !== undefined) return known;
  throw invalid("strategy", `must be one of ${selectionStrategyNames.join(", ")}, got ${JSON.stringify(name)}`);
}

function checkEventName(name: string): keyof PlatformEvents {
  const known = eventNames.find((event) => event === name);
  if (known !== undefined) return known;
  throw invalid("names", `must be of ${eventNames.join(", ")}, got ${JSON.stringify(name)}`);
}
