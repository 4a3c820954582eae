import type { PluginAddress } from "./address.js";
import type { ServiceDependency } from "./declarations.js";
import type { Health } from "./health.js";

/** Assigned by the host, opaque to plugins, never used again. */
export type RuntimeId = string;

/**
 * Where a committed plugin is in its life. `leaving`: not offered any more, calls that name it still pass.
 * `draining`: no new calls; those in flight go on.
 */
export type PluginPhase =
  | { readonly kind: "serving" }
  | { readonly kind: "leaving"; readonly reason: string }
  | { readonly kind: "draining"; readonly reason: string };

/** How a plugin came to the host. */
export type PluginOrigin = "module" | "worker" | "endpoint" | "process" | "custom" | "self-registered";

/** One started plugin, as everyone sees it. Immutable: a change puts another record in its place. */
export interface PluginRecord {
  readonly runtimeId: RuntimeId;
  readonly selfId: string;
  readonly selfVersion: string;
  readonly origin: PluginOrigin;
  readonly address: PluginAddress;
  readonly requires: readonly ServiceDependency[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly phase: PluginPhase;
  readonly health: Health;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** It has ended, and is not started again by itself. @default false */
  readonly isGivenUp?: boolean;
}

/** One service of one plugin. Immutable. */
export interface Registration {
  /** `reg-` and hex digits. */
  readonly registrationId: string;
  readonly runtimeId: RuntimeId;
  readonly type: string;
  readonly version: string;
  /** With a slash at both ends. */
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Milliseconds since 1970. */
  readonly registeredAt: number;
}

/** One change of the host's visible state. Several of them are applied as one. */
export type Change =
  | { readonly kind: "plugin-put"; readonly plugin: PluginRecord }
  | { readonly kind: "plugin-removed"; readonly runtimeId: RuntimeId }
  | { readonly kind: "registration-put"; readonly registration: Registration }
  | { readonly kind: "registration-removed"; readonly registrationId: string }
  /** Calls to `from` go to `to`, which replaced it. */
  | { readonly kind: "alias-put"; readonly from: RuntimeId; readonly to: RuntimeId }
  | { readonly kind: "alias-removed"; readonly from: RuntimeId };

/** Position in the host's history: the host's start, and the number of applied changes since. */
export interface Revision {
  readonly epoch: string;
  readonly number: number;
}

/** `epoch:n`, as watch events carry it. */
export const formatRevision = (revision: Revision): string => `${revision.epoch}:${revision.number}`;

/** Reads what `formatRevision` wrote; undefined if the text is not a revision. */
export function parseRevision(text: string): Revision | undefined {
  const match = /^(.+):(0|[1-9]\d{0,15})$/.exec(text);
  const number = Number(match?.[2]);
  return match?.[1] !== undefined && Number.isSafeInteger(number) ? { epoch: match[1], number } : undefined;
}
