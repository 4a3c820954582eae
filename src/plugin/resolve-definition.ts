import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { invalid } from "../errors.js";
import type { ServiceDeclaration, ServiceDependency } from "../model/declarations.js";
import { checkEndpointPath, checkMetadata, checkName, checkNumber } from "../model/limits.js";
import { checkVersion, compileVersionRange } from "../model/versions.js";
import type { PluginContext, PluginOptions, Provides, Requires } from "./plugin-definition.js";

/** One provided service with its defaults filled in. */
export interface ResolvedService extends ServiceDeclaration {
  readonly kind: { readonly name: "connect"; readonly service: DescService } | { readonly name: "fetch" | "node" };
  readonly metadata: Readonly<Record<string, string>>;
}

/** One dependency with its defaults filled in. */
export interface ResolvedDependency extends ServiceDependency {
  readonly service: DescService | undefined;
}

/** A checked, frozen plugin definition without type parameters. */
export interface ResolvedDefinition {
  readonly id: string;
  readonly version: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly provides: readonly ResolvedService[];
  readonly requires: readonly ResolvedDependency[];
  readonly interceptors: readonly Interceptor[];
  readonly identityWaitMs: number;
  readonly setup: (plugin: PluginContext) => unknown;
}

function resolveServices(provides: Provides, pluginVersion: string): readonly ResolvedService[] {
  const owners = new Map<string, string>();
  return Object.entries(provides).map(([type, given]) => {
    const field = `provides.${type}`;
    checkName(`${field} (service type)`, type);
    const described = "service" in given;
    if (described && given.service?.kind !== "service") {
      throw invalid(`${field}.service`, "must be a generated service description, or leave it out and set `handler`");
    }
    if (!described && given.handler !== "fetch" && given.handler !== "node") {
      throw invalid(`${field}.handler`, `must be "fetch" or "node", got ${JSON.stringify(given.handler)}`);
    }
    const path = checkEndpointPath(`${field}.path`, given.path ?? (described ? `/${given.service.typeName}/` : "/"));
    if (described && !path.endsWith(`/${given.service.typeName}/`)) {
      throw invalid(`${field}.path`, `must end with "/${given.service.typeName}/", got ${path}`);
    }
    const owner = owners.get(path);
    if (owner !== undefined) {
      throw invalid(`${field}.path`, `is ${path} as that of ${JSON.stringify(owner)}; give one of them another path`);
    }
    // Those who serve the plugin itself come first, so nothing behind this path would ever be reached.
    if (path.startsWith("/connectplugin."))
      throw invalid(`${field}.path`, `must not begin with "/connectplugin.", got ${path}`);
    owners.set(path, type);
    return Object.freeze({
      type,
      version: checkVersion(`${field}.version`, given.version ?? pluginVersion),
      path,
      metadata: checkMetadata(`${field}.metadata`, given.metadata ?? {}),
      kind: described ? ({ name: "connect", service: given.service } as const) : ({ name: given.handler } as const),
    });
  });
}

function resolveDependencies(requires: Requires): readonly ResolvedDependency[] {
  return Object.entries(requires).map(([type, given]) => {
    const field = `requires.${type}`;
    checkName(`${field} (service type)`, type);
    if (given.service !== undefined && given.service.kind !== "service") {
      throw invalid(`${field}.service`, "must be a generated service description, or be left out");
    }
    const minVersion = given.minVersion ?? "";
    compileVersionRange(`${field}.minVersion`, minVersion);
    const required = given.required ?? true;
    return Object.freeze({
      type,
      minVersion,
      required,
      watch: true,
      source: "declared",
      service: given.service,
    } as const);
  });
}

/**
 * Checks a definition and fills in its defaults. The given object is left as it is.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the field
 */
export function resolveDefinition<P extends Provides, R extends Requires>(
  given: PluginOptions<P, R>,
): ResolvedDefinition {
  const version = checkVersion("version", given.version);
  if (typeof given.setup !== "function") throw invalid("setup", `must be a function, got ${typeof given.setup}`);
  return Object.freeze({
    id: checkName("id", given.id),
    version,
    metadata: checkMetadata("metadata", given.metadata ?? {}),
    provides: Object.freeze(resolveServices(given.provides ?? {}, version)),
    requires: Object.freeze(resolveDependencies(given.requires ?? {})),
    interceptors: Object.freeze([...(given.interceptors ?? [])]),
    identityWaitMs: checkNumber("identityWaitMs", given.identityWaitMs ?? 10_000, 0),
    // The types of `requires` are for callers; inside, names are checked when they are used.
    setup: (plugin: PluginContext) => given.setup(plugin as unknown as PluginContext<R>),
  });
}
