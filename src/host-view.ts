import type { TokenBuckets } from "./internal/token-bucket.js";
import type { PluginDirectory } from "./lifecycle/plugin-directory.js";
import type { SelfRegistration } from "./lifecycle/self-registration.js";
import type { RuntimeId } from "./model/catalog.js";
import { type Principal, principalId } from "./model/principal.js";
import type { ResolvedOptions } from "./options.js";
import type { Catalog } from "./registry/catalog.js";
import type { ServiceRegistry } from "./registry/service-registry.js";
import type { RouteLookup, RouteProvider, RouterView, TrafficObserver } from "./router/router-view.js";

const defaultRetryAfterMs = 1_000;

/** What the router sees of the host is made of these. */
export interface HostViewParts {
  readonly catalog: Catalog;
  readonly registry: ServiceRegistry;
  readonly directory: PluginDirectory;
  readonly selfRegistration: SelfRegistration;
  readonly options: ResolvedOptions;
  readonly rates: TokenBuckets | undefined;
}

/** The router's questions, answered from the visible state. */
export function createRouterView(parts: HostViewParts): RouterView {
  const { catalog, registry, directory, options, rates } = parts;
  const retryAfterMs = options.router?.retryAfterMs ?? defaultRetryAfterMs;
  const found = (runtimeId: RuntimeId, provider: Omit<RouteProvider, "inFlight">): RouteLookup => {
    const live = directory.get(runtimeId);
    if (live === undefined) return { kind: "not-found", message: `${runtimeId} is gone` };
    return { kind: "found", provider: { ...provider, inFlight: live.inFlight } };
  };
  return {
    pinned(type, asked) {
      const runtimeId = catalog.resolveAlias(asked);
      const offer = catalog.offerOf(runtimeId, type);
      if (offer !== undefined) return found(runtimeId, offer);
      const plugin = catalog.plugin(runtimeId);
      if (plugin === undefined) return { kind: "not-found", message: `no plugin has the runtime id ${asked}` };
      if (plugin.phase.kind === "draining") {
        return { kind: "unavailable", message: `${asked} is going: ${plugin.phase.reason}`, retryAfterMs };
      }
      return { kind: "not-found", message: `${asked} does not offer ${type}` };
    },
    choose(type, caller, exclude) {
      const callerId = caller.kind === "plugin" ? caller.runtimeId : undefined;
      const minVersion = callerId === undefined ? undefined : declaredRange(directory, callerId, type);
      const result = registry.find(type, { purpose: "route", minVersion, callerId, exclude });
      if (result.kind === "none") {
        return result.code === "NO_HEALTHY_PROVIDER"
          ? { kind: "unavailable", message: result.message, retryAfterMs }
          : { kind: "not-found", message: result.message };
      }
      const { plugin, registration } = result.provider;
      const offer = catalog.offerOf(plugin.runtimeId, type);
      // The short path goes to the first; that must be the version that was chosen, not a higher one out of range.
      const others = (offer?.registrations ?? []).filter((other) => other !== registration);
      return found(plugin.runtimeId, { plugin, registrations: [registration, ...others] });
    },
    refusal(caller, { plugin }, serviceType, method) {
      const { runtimeId, selfId } = plugin;
      const verdict: unknown = options.authorize?.({ caller, provider: { runtimeId, selfId }, serviceType, method });
      if (verdict === undefined || typeof verdict === "string") return verdict;
      // Such as the promise of an async function, which would be taken for a yes or for a no by accident.
      return "the host's authorize function must return a text or undefined";
    },
    // The program that embeds the host set the limit for others.
    takeRate: (caller) => (caller.kind === "host" ? 0 : (rates?.take(principalId(caller)) ?? 0)),
  };
}

function declaredRange(directory: PluginDirectory, callerId: RuntimeId, type: string): string | undefined {
  for (const dependency of directory.get(callerId)?.requires ?? []) {
    if (dependency.type === type) return dependency.minVersion;
  }
  return undefined;
}

/** What the router saw counts as health, and as a dependency of who called. */
export function createTrafficObserver({ directory, selfRegistration }: HostViewParts): TrafficObserver {
  return {
    answered: (runtimeId) => directory.get(runtimeId)?.health.callAnswered(),
    failed: (runtimeId, reason) => directory.get(runtimeId)?.health.callFailed(reason),
    called(caller: Principal, serviceType) {
      if (caller.kind !== "plugin") return;
      const plugin = directory.get(caller.runtimeId);
      if (plugin === undefined) return;
      selfRegistration.seen(plugin);
      directory.observe(plugin, serviceType);
    },
  };
}
