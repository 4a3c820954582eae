import { invalid } from "../errors.js";
import { shown } from "../model/limits.js";
import type { DependencyCalls } from "./dependency-calls.js";
import { dependencyClient, dependencyFetch } from "./dependency-client.js";
import type { DependencyWatch } from "./dependency-watch.js";
import type { OwnHealth } from "./own-health.js";
import type { PluginContext } from "./plugin-definition.js";
import type { ResolvedDefinition, ResolvedDependency } from "./resolve-definition.js";

/** What stands behind a plugin's context. */
export interface PluginContextParts {
  readonly definition: ResolvedDefinition;
  readonly calls: DependencyCalls;
  readonly watches: ReadonlyMap<string, DependencyWatch>;
  readonly health: OwnHealth;
  readonly signal: AbortSignal;
  readonly runtimeId: () => string | undefined;
  readonly onStop: (stop: () => void | Promise<void>) => void;
}

/** Makes what `setup` gets. Its functions can be taken off the object. */
export function createPluginContext(parts: PluginContextParts): PluginContext {
  const { definition, calls, health } = parts;
  const dependency = (type: string): ResolvedDependency => {
    const found = definition.requires.find((candidate) => candidate.type === type);
    if (found === undefined) throw invalid("type", `must be one of the keys of \`requires\`, got ${shown(type)}`);
    return found;
  };
  const context = {
    get runtimeId() {
      return parts.runtimeId();
    },
    signal: parts.signal,
    client: (type: string) => {
      const found = dependency(type);
      if (found.service === undefined)
        throw invalid(`requires.${type}.service`, "is needed for a client; use plugin.fetch");
      return dependencyClient(found.service, found, calls, definition.interceptors);
    },
    fetch: async (type: string, path: string, init?: RequestInit) =>
      dependencyFetch(dependency(type), calls, path, init),
    onDependency: (type, listener) => {
      const watch = parts.watches.get(dependency(type).type);
      return watch?.onChange(listener) ?? (() => {});
    },
    reportHealth: (state, reason = "", unavailableDependencies = []) => {
      for (const type of unavailableDependencies) dependency(type);
      health.report(state, reason, unavailableDependencies);
    },
    onStop: parts.onStop,
  } satisfies Omit<PluginContext, "client"> & { client: (type: string) => unknown };
  return context as PluginContext;
}
