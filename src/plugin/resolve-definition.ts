import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { invalid } from "../errors.js";
import { checkObject } from "../http/check-object.js";
import type { ServiceDeclaration, ServiceDependency } from "../model/declarations.js";
import { checkEndpointPath, checkMetadata, checkMethods, checkName, checkNumber, shownValue } from "../model/limits.js";
import { checkVersion, compileVersionRange } from "../model/versions.js";
import { type DependencyGroup, dependencyGroup, typesOf } from "./dependency-group.js";
import type {
  Implementations,
  PluginContext,
  PluginOptions,
  ProvidedConnectService,
  ProvidedHttpService,
  Provides,
  RequiredService,
  Requires,
} from "./plugin-definition.js";
import { type ResolvedConnectServer, resolveConnectServer } from "./server-options.js";

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
  /** All service types that the plugin calls. */
  readonly requires: readonly ResolvedDependency[];
  /** The entries of `requires` as they were given. */
  readonly groups: readonly DependencyGroup[];
  readonly interceptors: readonly Interceptor[];
  readonly serviceInterceptors: readonly Interceptor[];
  readonly server: ResolvedConnectServer;
  readonly identityWaitMs: number;
  readonly setup: (plugin: PluginContext) => unknown;
}

const pluginFields = [
  "id",
  "version",
  "provides",
  "requires",
  "metadata",
  "interceptors",
  "serviceInterceptors",
  "server",
  "identityWaitMs",
  "setup",
] satisfies (keyof PluginOptions<Provides, Requires>)[];
const connectServiceFields = ["service", "version", "path", "metadata"] satisfies (keyof ProvidedConnectService)[];
const httpServiceFields = ["handler", "version", "path", "metadata"] satisfies (keyof ProvidedHttpService)[];
const requiredServiceFields = [
  "service",
  "minVersion",
  "required",
  "methods",
  "anyOf",
  "whenLost",
  "resilience",
  "interceptors",
] satisfies (keyof RequiredService)[];

const isDescribed = (given: unknown): boolean => typeof given === "object" && given !== null && "service" in given;

function resolveServices(provides: Provides, pluginVersion: string): readonly ResolvedService[] {
  const owners = new Map<string, string>();
  return Object.entries(provides).map(([type, given]) => {
    const field = `provides.${type}`;
    checkName(`${field} (service type)`, type);
    checkObject(field, given, isDescribed(given) ? connectServiceFields : httpServiceFields);
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

function resolveGroups(requires: Requires): readonly DependencyGroup[] {
  const owners = new Map<string, string>();
  return Object.entries(requires).map(([name, given]) => {
    const field = `requires.${name}`;
    checkName(`${field} (service type)`, name);
    checkObject(field, given, requiredServiceFields);
    if (given.required !== undefined && typeof given.required !== "boolean") {
      throw invalid(`${field}.required`, `must be true or false, got ${shownValue(given.required)}`);
    }
    if (given.service !== undefined && given.service.kind !== "service") {
      throw invalid(`${field}.service`, "must be a generated service description, or be left out");
    }
    const minVersion = given.minVersion ?? "";
    compileVersionRange(`${field}.minVersion`, minVersion);
    const methods = checkMethods(`${field}.methods`, given.methods ?? []);
    for (const method of methods) checkSpelling(`${field}.methods`, method, given.service);
    const member = (type: string): ResolvedDependency => {
      const owner = owners.get(type);
      if (owner !== undefined)
        throw invalid(field, `stands for ${type}, as requires.${owner} does; take one of them out`);
      owners.set(type, name);
      return Object.freeze({
        type,
        minVersion,
        // The host cannot wait for one of several.
        required: given.anyOf === undefined && (given.required ?? true),
        watch: true,
        ...(methods.length > 0 && { methods }),
        source: "declared",
        service: given.service,
      } as const);
    };
    const [first, ...others] = typesOf(name, given);
    return dependencyGroup(name, given, [member(first), ...others.map(member)]);
  });
}

/** Methods are named as on the wire, and clients have them in camel case, so that one is easily written for the other. */
function checkSpelling(field: string, method: string, service: DescService | undefined): void {
  const names = service?.methods.map(({ name }) => name) ?? [];
  const meant = names.find((name) => name.toLowerCase() === method.toLowerCase());
  if (meant !== undefined && !names.includes(method)) {
    throw invalid(field, `has "${method}", which ${service?.typeName} calls "${meant}"; write it as there`);
  }
}

/**
 * Checks a definition and fills in its defaults. The given object is left as it is.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the field
 */
export function resolveDefinition<P extends Provides, R extends Requires, I extends Implementations<P>>(
  given: PluginOptions<P, R, I>,
): ResolvedDefinition {
  checkObject("definePlugin", given, pluginFields, "");
  const version = checkVersion("version", given.version);
  const groups = resolveGroups(given.requires ?? {});
  if (typeof given.setup !== "function") throw invalid("setup", `must be a function, got ${typeof given.setup}`);
  return Object.freeze({
    id: checkName("id", given.id),
    version,
    metadata: checkMetadata("metadata", given.metadata ?? {}),
    provides: Object.freeze(resolveServices(given.provides ?? {}, version)),
    requires: Object.freeze(groups.flatMap(({ members }) => members)),
    groups: Object.freeze(groups),
    interceptors: Object.freeze([...(given.interceptors ?? [])]),
    serviceInterceptors: Object.freeze([...(given.serviceInterceptors ?? [])]),
    server: resolveConnectServer("server", given.server),
    identityWaitMs: checkNumber("identityWaitMs", given.identityWaitMs ?? 10_000, 0),
    // The types of `requires` are for callers; inside, names are checked when they are used.
    setup: (plugin: PluginContext) => given.setup(plugin as unknown as PluginContext<R>),
  });
}
