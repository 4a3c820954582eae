import { setMaxListeners } from "node:events";
import { PluginHostError } from "../errors.js";
import { InFlight } from "../internal/in-flight.js";
import { addressKey, type PluginAddress } from "../model/address.js";
import type { PluginOrigin, PluginPhase, PluginRecord, Registration, RuntimeId } from "../model/catalog.js";
import type { PluginDeclaration, ServiceDependency } from "../model/declarations.js";
import type { LaunchedPlugin } from "../model/launch.js";
import { type Permissions, permissionsOf, unknownPermissions } from "../model/permissions.js";
import { type Importance, isDown, type Supervision, unsupervised } from "../model/supervision.js";
import type { PluginRemote } from "./plugin-remote.js";
import type { PluginHealth } from "./ports.js";

/** Who can see a plugin. */
export type Visibility =
  /** It shook hands and did nothing else yet; nobody sees it. */
  | { readonly kind: "joined" }
  /** It is being added; nobody sees it. */
  | { readonly kind: "staged" }
  /** Everybody sees it. */
  | { readonly kind: "committed" }
  /** It is gone; its last calls may still be ending. */
  | { readonly kind: "gone" };

/** What a new {@link LivePlugin} starts with. */
export interface LivePluginInit {
  readonly runtimeId: RuntimeId;
  readonly selfId: string;
  readonly selfVersion: string;
  readonly origin: PluginOrigin;
  readonly address: PluginAddress;
  readonly visibility: Visibility;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Monotonic milliseconds. */
  readonly since: number;
}

/** One started plugin with everything that belongs to it. Its visible part is `record()` and `registrations`. */
export class LivePlugin {
  readonly runtimeId: RuntimeId;
  readonly selfId: string;
  readonly inFlight = new InFlight();
  /** By registration id. The visible ones are in the catalog, too. */
  readonly registrations = new Map<string, Registration>();
  readonly health: PluginHealth;
  /** Called after each change of health, whoever can see the plugin. */
  readonly healthListeners = new Set<() => void>();
  selfVersion: string;
  origin: PluginOrigin;
  requires: readonly ServiceDependency[] = [];
  /** What the plugin may do by its own word, or by that of who added it. */
  permissions: Permissions = unknownPermissions;
  readonly #observedTypes = new Set<string>();
  /** Whether the plugin was described in full, so that there is no need to ask it. */
  hasDeclared = false;
  metadata: Readonly<Record<string, string>> = {};
  phase: PluginPhase = { kind: "serving" };
  visibility: Visibility;
  launched: LaunchedPlugin | undefined;
  supervision: Supervision = unsupervised;
  /** Undefined while nobody would start it again. */
  importance: Importance | undefined;
  /** Runtime ids of its incarnations before this one, oldest first. */
  earlierIds: readonly RuntimeId[] = [];
  remote: PluginRemote | undefined;
  /** By what the plugin knows its host, which it checks on every call. A secret. */
  hostSecret: string | undefined;
  /** Whether it has ever had a registration. */
  hasOffered = false;
  /** Whether it has ever dialled a link, so that `remote` knows the way over it. */
  isLinked = false;
  /** Monotonic time of the handshake or the start. */
  readonly since: number;
  /** Monotonic time of the commit. */
  committedAt: number | undefined;
  readonly #startedAt: number;
  #address: PluginAddress;
  #addressKey: string | undefined;
  readonly #gone = new AbortController();

  constructor(init: LivePluginInit, health: PluginHealth) {
    this.runtimeId = init.runtimeId;
    this.selfId = init.selfId;
    this.selfVersion = init.selfVersion;
    this.origin = init.origin;
    this.#address = init.address;
    this.#addressKey = addressKey(init.address);
    this.visibility = init.visibility;
    this.since = init.since;
    this.#startedAt = init.startedAt;
    this.health = health;
    // One listener for each watch; Node would take more than ten for a leak.
    setMaxListeners(0, this.#gone.signal);
  }

  /** Aborted when the plugin is gone. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** The plugin is gone: ends what lasts as long as it does. */
  end(): void {
    this.#gone.abort();
  }

  /** Whether it does not run any more, or not yet, so that what is at its address is something else. */
  get hasEnded(): boolean {
    return isDown(this.supervision);
  }

  get address(): PluginAddress {
    return this.#address;
  }

  set address(address: PluginAddress) {
    this.#address = address;
    this.#addressKey = addressKey(address);
  }

  /** One text per address; undefined if the plugin did not say where it is. */
  get addressKey(): string | undefined {
    return this.#addressKey;
  }

  /** What the host's own calls to the plugin carry: a launched program may check it before it has said that it does. */
  get controlSecret(): string | undefined {
    return this.hostSecret ?? this.launched?.hostSecret;
  }

  /** Takes over what the plugin says of itself. */
  declare(declaration: PluginDeclaration): void {
    this.selfVersion = declaration.selfVersion || this.selfVersion;
    this.metadata = declaration.metadata;
    this.hasDeclared = true;
    this.permit(declaration);
  }

  /** Takes over what the plugin says that it provides and requires. Where it says nothing, what was known before stays. */
  permit(declaration: PluginDeclaration): void {
    const before = this.permissions;
    this.permissions = permissionsOf(declaration, before);
    if (this.permissions.calls === before.calls) return;
    this.requires = declaration.requires;
    this.#observedTypes.clear();
  }

  /** This is the same program as `other`, which may have declared what this one has not. */
  inherit({ permissions: { calls, provides }, requires }: LivePlugin): void {
    const { permissions } = this;
    this.permissions = { calls: permissions.calls ?? calls, provides: permissions.provides ?? provides };
    if (this.permissions.calls !== permissions.calls) this.requires = requires;
  }

  /** Takes down that the plugin uses `type`. Returns whether that is news; never if the plugin has declared it. */
  observe(type: string): boolean {
    if (this.#observedTypes.has(type) || this.permissions.calls?.has(type) === true) return false;
    this.#observedTypes.add(type);
    // At the end, where the graph takes it without a look at the others.
    this.requires = [...this.requires, { type, minVersion: "", required: false, watch: false, source: "observed" }];
    return true;
  }

  /** The plugin as everyone sees it. */
  record(): PluginRecord {
    return Object.freeze({
      runtimeId: this.runtimeId,
      selfId: this.selfId,
      selfVersion: this.selfVersion,
      origin: this.origin,
      address: this.address,
      requires: this.requires,
      metadata: this.metadata,
      phase: this.phase,
      health: this.health.current,
      startedAt: this.#startedAt,
      isGivenUp: this.supervision.kind === "quarantined" || this.supervision.kind === "ended",
    });
  }
}

/** @throws PluginHostError `OPERATION_CONFLICT` if the plugin is gone or going */
export function assertServing({ runtimeId, visibility, phase }: LivePlugin): void {
  if (visibility.kind !== "gone" && phase.kind === "serving") return;
  const what = visibility.kind === "gone" ? "has ended" : "is being removed or replaced";
  throw new PluginHostError("OPERATION_CONFLICT", `${runtimeId} ${what} meanwhile`, { details: { runtimeId } });
}
