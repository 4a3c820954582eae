import { setMaxListeners } from "node:events";
import { PluginHostError } from "../errors.js";
import { InFlight } from "../internal/in-flight.js";
import { addressKey, type PluginAddress } from "../model/address.js";
import type { PluginOrigin, PluginPhase, PluginRecord, Registration, RuntimeId } from "../model/catalog.js";
import type { PluginDeclaration, ServiceDependency } from "../model/declarations.js";
import type { LaunchedPlugin } from "../model/launch.js";
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
  readonly #observedTypes = new Set<string>();
  /** Whether `requires` is what the plugin said, rather than what the host observed. */
  hasDeclared = false;
  metadata: Readonly<Record<string, string>> = {};
  phase: PluginPhase = { kind: "serving" };
  visibility: Visibility;
  launched: LaunchedPlugin | undefined;
  remote: PluginRemote | undefined;
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

  /** Takes over what the plugin says of itself. */
  declare(declaration: PluginDeclaration): void {
    this.selfVersion = declaration.selfVersion || this.selfVersion;
    this.requires = declaration.requires;
    this.metadata = declaration.metadata;
    this.hasDeclared = true;
  }

  /** Takes down that the plugin uses `type`. Returns whether that is news; never if the plugin has said what it requires. */
  observe(type: string): boolean {
    if (this.hasDeclared || this.#observedTypes.has(type)) return false;
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
    });
  }
}

/** @throws PluginHostError `OPERATION_CONFLICT` if the plugin is gone or going */
export function assertServing({ runtimeId, visibility, phase }: LivePlugin): void {
  if (visibility.kind !== "gone" && phase.kind === "serving") return;
  const what = visibility.kind === "gone" ? "has ended" : "is being removed or replaced";
  throw new PluginHostError("OPERATION_CONFLICT", `${runtimeId} ${what} meanwhile`, { details: { runtimeId } });
}
