import type { InFlight } from "../internal/in-flight.js";
import type { PluginRecord, Registration, RuntimeId } from "../model/catalog.js";
import type { TrialGate } from "../model/health.js";
import type { Principal } from "../model/principal.js";
import type { UpstreamPath } from "./upstream-path.js";

/** A provider as the router sees it. */
export interface RouteProvider {
  readonly plugin: PluginRecord;
  /** Everything of the asked service type that the plugin offers, highest version first; never empty. */
  readonly registrations: readonly Registration[];
  /** Calls that the provider is working on. */
  readonly inFlight: InFlight;
  /** Set while the provider is on trial after an ejection: one call at a time. */
  readonly trial?: TrialGate | undefined;
  /** Whether it gets the call although it is ejected, because there is nobody else. */
  readonly lastResort?: boolean;
  /** By what the provider knows this host, if it checks that. A secret, for calls to this provider alone. */
  readonly hostSecret?: string | undefined;
  /** When it is worth to try again if it cannot take the call now. @default the router's option `retryAfterMs` */
  readonly retryAfterMs?: number | undefined;
}

/** Why the registry has no provider to offer. */
export type NoRoute =
  | { readonly kind: "not-found"; readonly message: string }
  | { readonly kind: "unavailable"; readonly message: string; readonly retryAfterMs: number };

/** What a lookup for routing finds. */
export type RouteLookup = { readonly kind: "found"; readonly provider: RouteProvider } | NoRoute;

/** What the router asks of the rest of the host. All of it is synchronous and cheap. */
export interface RouterView {
  /** The provider with this runtime id (or the one that replaced it) for `type`, whatever its health. */
  pinned(type: string, runtimeId: RuntimeId): RouteLookup;
  /**
   * Chooses a provider of `type` for this caller by the type's strategy; `exclude` are runtime ids that failed already.
   * Only providers that may be chosen now are found.
   */
  choose(type: string, caller: Principal, exclude: ReadonlySet<RuntimeId> | undefined): RouteLookup;
  /**
   * Undefined unless `caller` is a plugin that may not call `serviceType` by what it declared; otherwise what is missing, for people.
   * `where` is undefined if no provider can take the call now: then its method does not count.
   */
  undeclared(caller: Principal, serviceType: string, where: UpstreamPath | undefined): string | undefined;
  /** Undefined if `caller` may call, otherwise the reason why not, for people. */
  refusal(caller: Principal, provider: RouteProvider, serviceType: string, method: string): string | undefined;
  /** Takes one call from the caller's rate: 0 if it may pass, otherwise the milliseconds until it may. */
  takeRate(caller: Principal): number;
}

/** What the router tells the rest of the host about a provider, so that traffic counts as health. */
export interface TrafficObserver {
  /** The provider answered with a head. */
  answered(runtimeId: RuntimeId): void;
  /** The provider refused the connection, broke it, or did not answer in time. */
  failed(runtimeId: RuntimeId, reason: string): void;
  /** The provider broke off an answer that `answered` was called for. */
  broke(runtimeId: RuntimeId, reason: string): void;
  /** A plugin called this type: its dependency is real even if it was not declared. */
  called(caller: Principal, serviceType: string): void;
}
