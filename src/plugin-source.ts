import type { Duplex } from "node:stream";
import { invalid } from "./errors.js";
import { endpointLauncher } from "./launch/endpoint-launcher.js";
import { moduleLauncher } from "./launch/module-launcher.js";
import { type ProcessLauncherOptions, processLauncher } from "./launch/process-launcher.js";
import type { ProcessSource } from "./launch/process-source.js";
import { checkDeclaration } from "./lifecycle/declaration-check.js";
import type { StepLimits } from "./lifecycle/limits.js";
import type { StartSpec } from "./lifecycle/plugin-start.js";
import type { HostedModule } from "./link/hosted-module.js";
import type { InProcessHost } from "./link/in-process-route.js";
import { parseBaseUrl } from "./model/base-url.js";
import type { PluginDeclaration } from "./model/declarations.js";
import { checkString } from "./model/limits.js";
import { resolveLimits } from "./options.js";

/** What a caller says of a plugin before it runs. What is left out is empty. */
export interface DeclaredPlugin {
  readonly selfId: string;
  readonly selfVersion?: string;
  /** `path` is where the service answers on the plugin. @default path "/" */
  readonly provides?: readonly { readonly type: string; readonly version: string; readonly path?: string }[];
  /** @default minVersion "" (any), required true */
  readonly requires?: readonly { readonly type: string; readonly minVersion?: string; readonly required?: boolean }[];
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Where a plugin comes from. */
export type PluginSource =
  /** A program that runs already: `http://host:port` or `unix:/path`. The host does not stop it. */
  | { readonly endpoint: string }
  /** A module that runs in the host's process, such as what `definePlugin` returns. */
  | { readonly module: HostedModule }
  /** A program that the host starts as a process of its own, and stops. */
  | ProcessSource;

/** A plugin to add, or to put in the place of another. */
export type PluginSpec = PluginSource & {
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

/** What sources need of the platform. */
export interface SourceContext {
  readonly limits: StepLimits;
  readonly hostUrl: () => string;
  readonly connectHost: () => Duplex;
  /** @default modules call each other over `connectHost` */
  readonly inProcess?: InProcessHost;
  readonly processes: ProcessLauncherOptions;
}

/** Checks a spec and turns it into what the lifecycle starts. @throws PluginHostError `INVALID_ARGUMENT` */
export function toStartSpec(spec: PluginSpec, context: SourceContext): StartSpec {
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
  };
}

const expectedSource =
  'must be { endpoint: "http://…" }, { module: definePlugin(…) } or { command: "./program", args: […] }';

function launcherOf(spec: PluginSource, protocols: string | undefined, context: SourceContext): StartSpec["launcher"] {
  const { endpoint, module, command } = spec as { [Name in "endpoint" | "command"]?: unknown } & {
    readonly module?: HostedModule;
  };
  const given = [endpoint, module, command].filter((source) => source !== undefined);
  if (given.length > 1) throw invalid("source", `${expectedSource}, only one of them`);
  if (typeof endpoint === "string") {
    return endpointLauncher(parseBaseUrl("endpoint", endpoint, protocols));
  }
  if (endpoint !== undefined) throw invalid("endpoint", `must be a text, got ${String(endpoint)}`);
  if (typeof module?.start === "function") return moduleLauncher(module, context);
  if (command !== undefined) return processLauncher(spec as ProcessSource, context.processes);
  throw invalid("source", expectedSource);
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
    requires: (given.requires ?? []).map(({ type, minVersion, required }) => ({
      type,
      minVersion: minVersion ?? "",
      required: required ?? true,
      watch: false,
      source: "declared" as const,
    })),
    metadata: given.metadata ?? {},
  };
}
