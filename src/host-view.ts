import type { TokenBuckets } from "./internal/token-bucket.js";
import type { PluginDirectory } from "./lifecycle/plugin-directory.js";
import type { SelfRegistration } from "./lifecycle/self-registration.js";
import type { PluginRecord, RuntimeId } from "./model/catalog.js";
import { callRefusal, unknownPermissions } from "./model/permissions.js";
import { type Principal, principalId } from "./model/principal.js";
import { worthAskingInMs } from "./model/supervision.js";
import type { ResolvedOptions } from "./options.js";
import type { Catalog } from "./registry/catalog.js";
import { isEjected } from "./registry/provider-state.js";
import type { ServiceRegistry } from "./registry/service-registry.js";
import type { RouteLookup, RouteProvider, RouterView, TrafficObserver } from "./router/router-view.js";

type Offered = Pick<RouteProvider, "plugin" | "registrations">;

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
  const { clock, permissions: policy } = options;
  const retryAfterMs = options.router?.retryAfterMs ?? defaultRetryAfterMs;
  const tryEjected = options.router?.whenAllEjected === "try";
  const found = (runtimeId: RuntimeId, { plugin, registrations }: Offered): RouteLookup => {
    const live = directory.get(runtimeId);
    if (live === undefined) return { kind: "not-found", message: `${runtimeId} is gone` };
    const { inFlight, health, hostSecret } = live;
    const lastResort = tryEjected && isEjected(plugin);
    const retryAfterMs = awayForMs(plugin);
    return {
      kind: "found",
      provider: { plugin, registrations, inFlight, trial: health.trial, lastResort, retryAfterMs, hostSecret },
    };
  };
  /** How long nobody is sent to it; undefined if that is not known. */
  const awayForMs = (plugin: PluginRecord): number | undefined => {
    if (plugin.health.cause === "exit") {
      const supervision = directory.get(plugin.runtimeId)?.supervision;
      return supervision === undefined ? undefined : worthAskingInMs(supervision, clock.now());
    }
    const traffic = isEjected(plugin) ? directory.get(plugin.runtimeId)?.health.traffic : undefined;
    return traffic?.kind === "ejected" ? Math.max(0, traffic.until - clock.now()) : undefined;
  };
  /** When the first provider of a type may be back. */
  const nextReturnMs = (type: string): number | undefined => {
    let soonest: number | undefined;
    for (const { plugin } of catalog.offersOf(type)?.byPlugin.values() ?? []) {
      const leftMs = awayForMs(plugin);
      if (leftMs !== undefined && leftMs < (soonest ?? Number.POSITIVE_INFINITY)) soonest = leftMs;
    }
    return soonest;
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
      const result = registry.find(type, { purpose: "route", minVersion, callerId, exclude, tryEjected });
      if (result.kind === "none") {
        if (result.code !== "NO_HEALTHY_PROVIDER") return { kind: "not-found", message: result.message };
        return { kind: "unavailable", message: result.message, retryAfterMs: nextReturnMs(type) ?? retryAfterMs };
      }
      const { plugin, registration } = result.provider;
      const offer = catalog.offerOf(plugin.runtimeId, type);
      // The short path goes to the first; that must be the version that was chosen, not a higher one out of range.
      const offered = offer?.registrations ?? [];
      if (offered[0] === registration) return found(plugin.runtimeId, { plugin, registrations: offered });
      const others = offered.filter((other) => other !== registration);
      return found(plugin.runtimeId, { plugin, registrations: [registration, ...others] });
    },
    undeclared(caller, serviceType, where) {
      if (policy === "off" || caller.kind !== "plugin" || caller.byGrant === true) return undefined;
      const { runtimeId } = caller;
      const permissions = directory.get(runtimeId)?.permissions ?? unknownPermissions;
      return callRefusal(policy, runtimeId, permissions, serviceType, where);
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
    broke: (runtimeId, reason) => directory.get(runtimeId)?.health.callBroke(reason),
    called(caller: Principal, serviceType) {
      if (caller.kind !== "plugin") return;
      const plugin = directory.get(caller.runtimeId);
      if (plugin === undefined) return;
      selfRegistration.seen(plugin);
      directory.observe(plugin, serviceType);
    },
  };
}
