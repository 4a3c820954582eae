import type { Duplex } from "node:stream";
import { invalid } from "./errors.js";
import { type CustomLauncher, customLauncher } from "./launch/custom-launcher.js";
import { endpointLauncher } from "./launch/endpoint-launcher.js";
import { moduleLauncher } from "./launch/module-launcher.js";
import { type ProcessLauncherOptions, processLauncher } from "./launch/process-launcher.js";
import type { ProcessSource } from "./launch/process-source.js";
import { type WorkerLauncherOptions, workerLauncher } from "./launch/worker-launcher.js";
import type { WorkerSource } from "./launch/worker-source.js";
import type { RestartPolicy } from "./lifecycle/crash-history.js";
import { checkDeclaration } from "./lifecycle/declaration-check.js";
import type { StepLimits } from "./lifecycle/limits.js";
import type { StartSpec } from "./lifecycle/start-spec.js";
import type { SupervisionSpec } from "./lifecycle/supervision-spec.js";
import { resolveLimits } from "./limit-options.js";
import type { HostedModule } from "./link/hosted-module.js";
import type { InProcessHost } from "./link/in-process-route.js";
import type { PluginAddress } from "./model/address.js";
import { parseBaseUrl } from "./model/base-url.js";
import type { PluginDeclaration } from "./model/declarations.js";
import { checkString } from "./model/limits.js";
import { UpstreamTls, type UpstreamTlsOptions } from "./router/upstream-tls.js";
import { resolveSupervised, type SupervisedSpec } from "./supervision-options.js";

/** What a caller says of a plugin before it runs. What is left out is empty. */
export interface DeclaredPlugin {
  readonly selfId: string;
  readonly selfVersion?: string;
  /** `path` is where the service answers on the plugin. @default path "/" */
  readonly provides?: readonly { readonly type: string; readonly version: string; readonly path?: string }[];
  /** `methods` are those that it calls, see `RequiredService`. @default minVersion "" (any), required true, methods all */
  readonly requires?: readonly {
    readonly type: string;
    readonly minVersion?: string;
    readonly required?: boolean;
    readonly methods?: readonly string[];
  }[];
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Where a plugin comes from. */
export type PluginSource =
  /** A program that runs already: `http://host:port` or `unix:/path`. The host does not stop it. */
  | {
      readonly endpoint: string;
      /** Certificates towards it, for `https:`. None of `router.tls` counts for it then. @default `router.tls` */
      readonly tls?: UpstreamTlsOptions;
    }
  /** A module that runs in the host's process, such as what `definePlugin` returns. */
  | { readonly module: HostedModule }
  /** A module that runs in a worker thread, so that it cannot harm others but by what it takes of the machine. */
  | WorkerSource
  /** A program that the host starts as a process of its own, and stops. */
  | ProcessSource
  /** Whatever a launcher of your own starts and stops. */
  | { readonly launcher: CustomLauncher };

/** A plugin to add, or to put in the place of another. */
export type PluginSpec = PluginSource &
  SupervisedSpec & {
    /**
     * What the plugin is. Orders the start of a set before the programs run, is checked against what the plugin says of
     * itself, and stands in for a plugin that cannot say it.
     */
    readonly declares?: DeclaredPlugin;
    /** Time limits of this operation's steps. @default the platform's */
    readonly limits?: Partial<StepLimits>;
    /** Calls the operation off; it is rolled back then. */
    readonly signal?: AbortSignal;
  };

/** What takes the place of a plugin. */
export type ReplacePluginSpec = PluginSpec & {
  /** Whether the new plugin may lack services that other plugins require of the old one. @default false */
  readonly allowMissingServices?: boolean;
};

/** What sources need of the platform. */
export interface SourceContext {
  readonly limits: StepLimits;
  /** @default nothing is started again that does not say so */
  readonly restart?: RestartPolicy | undefined;
  readonly hostUrl: () => string;
  readonly connectHost: () => Duplex;
  /** @default modules call each other over `connectHost` */
  readonly inProcess?: InProcessHost;
  readonly processes: ProcessLauncherOptions;
  readonly workers: WorkerLauncherOptions;
}

/** Checks a spec and turns it into what the lifecycle starts. @throws PluginHostError `INVALID_ARGUMENT` */
export function toStartSpec(spec: PluginSpec, context: SourceContext, replaces?: SupervisionSpec): StartSpec {
  if (typeof spec !== "object" || spec === null) throw invalid("source", `${expectedSource}, got ${String(spec)}`);
  const { declares: declared, signal } = spec;
  if (signal !== undefined && typeof signal?.addEventListener !== "function") {
    throw invalid("signal", "must be an AbortSignal");
  }
  const own = declared === undefined ? undefined : checkDeclaration("declares", toDeclaration(declared));
  const launcher = launcherOf(spec, own?.metadata.protocols, context);
  const said = own ?? launcher.declares;
  return {
    launcher,
    declares: said === undefined ? undefined : checkDeclaration("declares", said),
    limits: resolveLimits("limits", spec.limits, context.limits),
    supervision: resolveSupervised(spec, replaces ?? { restart: context.restart }),
  };
}

const expectedSource =
  'must be { endpoint: "http://…" }, { module: definePlugin(…) }, { worker: new URL(…) }, { command: "./program", args: […] } or { launcher: … }';

function launcherOf(spec: PluginSource, protocols: string | undefined, context: SourceContext): StartSpec["launcher"] {
  const { endpoint, module, worker, command, launcher, tls } = spec as {
    [Name in "endpoint" | "worker" | "command"]?: unknown;
  } & {
    readonly launcher?: CustomLauncher;
    readonly module?: HostedModule;
    readonly tls?: UpstreamTlsOptions;
  };
  const given = [endpoint, module, worker, command, launcher].filter((source) => source !== undefined);
  if (given.length > 1) throw invalid("source", `${expectedSource}, only one of them`);
  if (typeof endpoint === "string") {
    return endpointLauncher(withTls(parseBaseUrl("endpoint", endpoint, protocols), tls));
  }
  if (tls !== undefined) throw invalid("tls", "belongs to an endpoint that begins with https:");
  if (endpoint !== undefined) throw invalid("endpoint", `must be a text, got ${String(endpoint)}`);
  if (typeof module?.start === "function") return moduleLauncher(module, context);
  if (worker !== undefined) return workerLauncher(spec as WorkerSource, context.workers);
  if (command !== undefined) return processLauncher(spec as ProcessSource, context.processes);
  if (launcher !== undefined) return customLauncher(launcher, context.processes.clock);
  throw invalid("source", expectedSource);
}

function withTls(address: PluginAddress, tls: UpstreamTlsOptions | undefined): PluginAddress {
  if (tls === undefined) return address;
  if (address.kind === "http" && address.url.startsWith("https:"))
    return { ...address, tls: new UpstreamTls(tls, "tls") };
  throw invalid("tls", "belongs to an endpoint that begins with https:");
}

/** Callers without types can pass anything; what the values are is for `checkDeclaration`. */
function checkShape(declared: DeclaredPlugin): void {
  if (typeof declared !== "object" || declared === null) throw invalid("declares", "must be an object");
  checkString("declares.selfId", declared.selfId);
  if (declared.selfVersion !== undefined) checkString("declares.selfVersion", declared.selfVersion);
  for (const name of ["provides", "requires"] as const) {
    const list: unknown = declared[name] ?? [];
    if (!Array.isArray(list)) throw invalid(`declares.${name}`, "must be an array");
    list.forEach((entry: unknown, index) => {
      if (typeof entry !== "object" || entry === null) throw invalid(`declares.${name}[${index}]`, "must be an object");
    });
  }
}

/** Fills in what a caller left out. The values are for `checkDeclaration`. @throws PluginHostError `INVALID_ARGUMENT` */
export function toDeclaration(given: DeclaredPlugin): PluginDeclaration {
  checkShape(given);
  return {
    selfId: given.selfId,
    selfVersion: given.selfVersion ?? "",
    provides: (given.provides ?? []).map(({ type, version, path }) => ({ type, version, path: path ?? "/" })),
    requires: (given.requires ?? []).map(({ type, minVersion, required, methods }) => ({
      type,
      minVersion: minVersion ?? "",
      required: required ?? true,
      watch: false,
      ...(methods !== undefined && { methods }),
      source: "declared" as const,
    })),
    metadata: given.metadata ?? {},
  };
}
