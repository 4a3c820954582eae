import type { DescService } from "@bufbuild/protobuf";
import { invalid } from "../errors.js";
import type { HealthVerdict } from "../model/health.js";
import { shown } from "../model/limits.js";
import type { LiveDependency } from "./live-dependency.js";
import type { OwnHealth } from "./own-health.js";
import type { PluginContext } from "./plugin-definition.js";

/** What stands behind a plugin's context. */
export interface PluginContextParts {
  readonly dependencies: readonly LiveDependency[];
  readonly health: OwnHealth;
  readonly signal: AbortSignal;
  readonly runtimeId: () => string | undefined;
  readonly onStop: (stop: () => void | Promise<void>) => void;
}

/** Makes what `setup` gets. Its functions can be taken off the object. */
export function createPluginContext(parts: PluginContextParts): PluginContext {
  const { dependencies, health } = parts;
  const dependency = (name: string): LiveDependency => {
    const found = dependencies.find(({ group }) => group.name === name);
    if (found === undefined)
      throw invalid("type", `must be one of the keys of \`requires\`, got ${shown(String(name))}`);
    return found;
  };
  const typesOf = (names: readonly string[]): string[] =>
    names.flatMap((name) => dependency(name).group.members.map(({ type }) => type));
  const context = {
    get runtimeId() {
      return parts.runtimeId();
    },
    signal: parts.signal,
    client: (given: string | DescService) => {
      const { group, access } = typeof given === "string" ? dependency(given) : byDescription(dependencies, given);
      if (group.service !== undefined) return access.client(group.service);
      throw invalid(`requires.${group.name}.service`, "is needed for a client; use plugin.fetch");
    },
    fetch: async (type: string, path: string, init?: RequestInit) => dependency(type).access.fetch(path, init),
    onDependency: (type, listener) => dependency(type).state.onChange(listener),
    onDependencyLost: (type, listener) => dependency(type).state.onLost(listener),
    onDependencyBack: (type, listener) => dependency(type).state.onBack(listener),
    circuitOf: (type) => dependency(type).access.circuit,
    degrade: (reason, { state = "degraded", unavailableDependencies = [] } = {}) => {
      const recover = health.hold(state, reason, typesOf(unavailableDependencies));
      return { recover, [Symbol.dispose]: recover };
    },
    reportHealth: (state: HealthVerdict, reason = "", unavailableDependencies: readonly string[] = []) =>
      health.report(state, reason, typesOf(unavailableDependencies)),
    onStop: parts.onStop,
  } satisfies Omit<PluginContext, "client"> & { client: (given: string) => unknown };
  return context as PluginContext;
}

function byDescription(dependencies: readonly LiveDependency[], service: DescService): LiveDependency {
  const [found, ...others] = dependencies.filter(({ group }) => group.service === service);
  if (found === undefined) throw invalid("service", "must be a description that stands in `requires`");
  if (others.length === 0) return found;
  const names = [found, ...others].map(({ group }) => group.name).join(", ");
  throw invalid("service", `stands in several entries of \`requires\` (${names}); name one of them`);
}
