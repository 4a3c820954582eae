import type { Duplex } from "node:stream";
import { invalid } from "./errors.js";
import { endpointLauncher } from "./launch/endpoint-launcher.js";
import { moduleLauncher } from "./launch/module-launcher.js";
import { checkDeclaration } from "./lifecycle/declaration-check.js";
import type { StepLimits } from "./lifecycle/limits.js";
import type { StartSpec } from "./lifecycle/plugin-start.js";
import type { HostedModule } from "./link/hosted-module.js";
import { parseBaseUrl } from "./model/base-url.js";
import type { PluginDeclaration } from "./model/declarations.js";
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
  | { readonly module: HostedModule };

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
}

/** Checks a spec and turns it into what the lifecycle starts. @throws PluginHostError `INVALID_ARGUMENT` */
export function toStartSpec(spec: PluginSpec, context: SourceContext): StartSpec {
  const launcher = launcherOf(spec, context);
  const declares = spec.declares === undefined ? launcher.declares : toDeclaration(spec.declares);
  return {
    launcher,
    declares: declares === undefined ? undefined : checkDeclaration("declares", declares),
    limits: resolveLimits("limits", spec.limits, context.limits),
  };
}

function launcherOf(spec: PluginSpec, context: SourceContext): StartSpec["launcher"] {
  if ("endpoint" in spec && typeof spec.endpoint === "string") {
    return endpointLauncher(parseBaseUrl("endpoint", spec.endpoint, spec.declares?.metadata?.protocols));
  }
  if ("module" in spec && typeof spec.module?.start === "function") return moduleLauncher(spec.module, context);
  throw invalid("source", 'must be { endpoint: "http://…" } or { module: definePlugin(…) }');
}

const toDeclaration = (given: DeclaredPlugin): PluginDeclaration => ({
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
});
