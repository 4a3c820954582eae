import type { LivePlugin } from "./lifecycle/live-plugin.js";
import type { PluginOrigin, PluginPhase, RuntimeId } from "./model/catalog.js";
import type { ServiceDeclaration, ServiceDependency } from "./model/declarations.js";
import type { Health, HealthState, TrafficState } from "./model/health.js";
import type { Importance, Supervision } from "./model/supervision.js";

/** A plugin as the platform shows it: a picture of one moment. */
export interface PluginView {
  readonly runtimeId: RuntimeId;
  readonly selfId: string;
  readonly selfVersion: string;
  readonly origin: PluginOrigin;
  readonly state: PluginPhase["kind"];
  readonly health: HealthState;
  /** Why it is in its state of health; empty if nobody said. */
  readonly reason: string;
  /** Who caused the state of health. */
  readonly healthCause: Health["cause"];
  readonly provides: readonly ServiceDeclaration[];
  readonly requires: readonly ServiceDependency[];
  /** What the host does about its end. */
  readonly supervision: Supervision;
  /** What it means for the host when it does not run; undefined for what the host does not start. */
  readonly importance: Importance | undefined;
  /** Where the host reaches it; undefined for a module, for a plugin that did not say, and while it does not run. */
  readonly endpointUrl: string | undefined;
  /** Whether it has a link open, over which its calls and those to it go. */
  readonly link: boolean;
  /** Of a program that the host started and that runs; undefined for everything else. */
  readonly pid: number | undefined;
  /** Milliseconds since 1970. */
  readonly startTime: number;
  /** Calls that it is working on. */
  readonly inFlight: number;
  /** Calls that wait for it to have room; those for any provider of a type count at each provider that is full. */
  readonly waiting: number;
  /** What calls say of it: whether it is ejected, until when, or on trial. */
  readonly traffic: TrafficState;
}

/** Takes the picture. `waiting` is how many calls wait for the plugin to have room, `link` whether it has one open. */
export function viewOf(plugin: LivePlugin, waiting: number, link: boolean): PluginView {
  const { health, hasEnded } = plugin;
  const address = hasEnded ? undefined : plugin.address;
  return Object.freeze({
    runtimeId: plugin.runtimeId,
    selfId: plugin.selfId,
    selfVersion: plugin.selfVersion,
    origin: plugin.origin,
    state: plugin.phase.kind,
    health: health.current.state,
    reason: health.current.reason,
    healthCause: health.current.cause,
    provides: [...plugin.registrations.values()].map(({ type, version, path }) => ({ type, version, path })),
    requires: [...plugin.requires],
    supervision: plugin.supervision,
    importance: plugin.importance,
    endpointUrl: address?.kind === "http" ? address.url : address?.kind === "unix" ? `unix:${address.path}` : undefined,
    link,
    pid: hasEnded ? undefined : plugin.launched?.pid,
    startTime: plugin.record().startedAt,
    inFlight: plugin.inFlight.count,
    waiting,
    traffic: Object.freeze(health.traffic),
  });
}
