import type { Clock } from "../internal/clock.js";
import type { PluginAddress } from "../model/address.js";
import type { Change, PluginRecord, Revision, RuntimeId } from "../model/catalog.js";
import type { ServiceDependency } from "../model/declarations.js";
import type { Health, HealthVerdict, TrafficState, TrialGate } from "../model/health.js";
import type { PlatformEvents } from "../model/platform-events.js";
import type { OpenRemote, PluginRemote } from "./plugin-remote.js";

/** The visible state, as far as the lifecycle writes it. */
export interface VisibleState {
  apply(changes: readonly Change[]): Revision;
  plugin(runtimeId: RuntimeId): PluginRecord | undefined;
  resolveAlias(runtimeId: RuntimeId): RuntimeId;
}

/** Runtime ids and tokens, as far as the lifecycle needs them. */
export interface Identities {
  issue(selfId: string, selfVersion: string): { readonly runtimeId: RuntimeId; readonly token: string };
  rotate(runtimeId: RuntimeId): string | undefined;
  merge(from: RuntimeId, into: RuntimeId): void;
  revoke(runtimeId: RuntimeId): void;
  proveAlive(runtimeId: RuntimeId): void;
}

/** What a health poll finds. */
export type Poll = (
  signal: AbortSignal,
) => Promise<
  | { readonly kind: "answered"; readonly verdict: HealthVerdict; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string }
>;

/** One plugin's health. */
export interface PluginHealth {
  readonly current: Health;
  /** What calls say of the plugin. */
  readonly traffic: TrafficState;
  /** Undefined unless the plugin is on trial after an ejection. */
  readonly trial: TrialGate | undefined;
  startPolling(poll: Poll): void;
  report(verdict: HealthVerdict, reason: string, unavailableDependencies: readonly string[]): void;
  callAnswered(): void;
  callFailed(reason: string): void;
  callBroke(reason: string): void;
  /** The plugin is probably about to end: it is asked sooner than usual for a while. */
  suspectEnd(): void;
  exited(reason: string): void;
  close(): void;
}

/** A node for questions about dependencies. */
export interface DependencyNode {
  readonly id: RuntimeId;
  readonly name: string;
  readonly provides: readonly { readonly type: string; readonly version: string }[];
  readonly requires: readonly ServiceDependency[];
}

/** Who breaks when a plugin goes. */
export interface Impact {
  /** The plugin's own service types. */
  readonly affectedServices: readonly string[];
  /** Plugins that lose a required dependency, transitively; nearest first. */
  readonly affectedPlugins: readonly RuntimeId[];
  /** Plugins that lose an optional dependency. */
  readonly optionalImpact: readonly RuntimeId[];
}

/** Questions about the visible dependency graph. */
export interface Dependencies {
  impact(runtimeId: RuntimeId): Impact;
  /** The path of a cycle that the node would close, or undefined. */
  cycleWith(node: DependencyNode): readonly RuntimeId[] | undefined;
  /** What required dependants would miss if the plugin provided only this. */
  missingAfterReplace(
    runtimeId: RuntimeId,
    provides: readonly { readonly type: string; readonly version: string }[],
  ): readonly { readonly dependant: RuntimeId; readonly type: string; readonly minVersion: string }[];
  /** Why a required dependency cannot be met now, other than by `except`, or undefined if it can. */
  problemWith(dependency: ServiceDependency, except?: RuntimeId): string | undefined;
}

/** Everything that the lifecycle needs of the rest of the host. */
export interface LifecyclePorts {
  readonly clock: Clock;
  readonly state: VisibleState;
  readonly identities: Identities;
  readonly dependencies: Dependencies;
  readonly openRemote: OpenRemote;
  /** Asks a plugin over its link; undefined if it has none that is open now. */
  readonly remoteOverLink: (runtimeId: RuntimeId) => PluginRemote | undefined;
  /** A health monitor for one plugin, which tells `onChange` of each change. */
  readonly monitorHealth: (onChange: (health: Health, before: Health) => void) => PluginHealth;
  /** Base URL under which a plugin at this address reaches the host. Throws `HOST_URL_UNKNOWN`. */
  readonly hostUrlFor: (address: PluginAddress) => string;
  /** Closes the router's connections to an address that is not used any more. */
  readonly closeConnections: (address: PluginAddress) => void;
  /** The number of calls that a plugin works on has changed. */
  readonly inFlightChanged: (runtimeId: RuntimeId) => void;
  readonly emit: <Name extends keyof PlatformEvents>(name: Name, event: PlatformEvents[Name]) => void;
}
