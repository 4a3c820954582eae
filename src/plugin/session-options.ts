import type { BackOffOptions } from "../internal/back-off.js";
import type { Clock } from "../internal/clock.js";
import type { Credential, HostAccessCell } from "./host-access.js";
import type { HostAddress } from "./host-address.js";
import type { HandshakeSettings } from "./host-handshake.js";
import type { KnownHost } from "./known-host.js";
import type { OwnHealth } from "./own-health.js";
import type { PluginEventListener } from "./plugin-event.js";
import type { ResolvedDefinition } from "./resolve-definition.js";
import type { SessionTimes } from "./session-times.js";

/** What a session needs. */
export interface SessionOptions extends SessionTimes {
  readonly definition: ResolvedDefinition;
  readonly cell: HostAccessCell;
  readonly health: OwnHealth;
  readonly knownHost: KnownHost;
  /** Set if the plugin registers itself there; otherwise it waits to be told. */
  readonly host: HostAddress | undefined;
  readonly handshake: HandshakeSettings;
  /** Where the plugin listens; empty if the host connects to it otherwise. */
  readonly baseUrl: string;
  /** Resolves when it is known how the host reaches the plugin; rejects if it does not. */
  readonly reached: () => Promise<void>;
  /** Resolves when the plugin's services can be called. */
  readonly ready: Promise<void>;
  readonly clock: Clock;
  readonly backOff: BackOffOptions;
  readonly onEvent: PluginEventListener;
}

/** An identity that a managing host gives. */
export interface GivenIdentity {
  readonly identity: Credential;
  /** Undefined if the host did not say where it is. */
  readonly host: HostAddress | undefined;
  readonly features: ReadonlySet<string>;
}
