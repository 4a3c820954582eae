import type { BackOffOptions } from "../internal/back-off.js";
import type { Clock } from "../internal/clock.js";
import type { InProcessHost } from "../link/in-process-route.js";
import type { LinkTransport } from "../link/link-transport.js";
import type { HostAddress } from "./host-address.js";
import type { HandshakeSettings } from "./host-handshake.js";
import type { PluginEventListener } from "./plugin-event.js";
import type { ResolvedDefinition } from "./resolve-definition.js";
import type { SessionTimes } from "./session-times.js";

/** How an instance runs. */
export interface InstanceOptions {
  readonly definition: ResolvedDefinition;
  /** Where the plugin registers itself; undefined if a host manages it. */
  readonly host: HostAddress | undefined;
  /** The only host that a managed plugin talks to, whatever URL it is told. */
  readonly onlyHost: HostAddress | undefined;
  /** Calls to dependencies without a connection; undefined outside of the host's process. */
  readonly inProcess: InProcessHost | undefined;
  /** Whether to open a link to a host that takes links; a transport is the only way to the host, for as long as it stands. */
  readonly link: "auto" | "off" | LinkTransport;
  /** Authorities that a host's certificate may come from; undefined for those that Node trusts. */
  readonly ca: readonly string[] | undefined;
  /** Whether others than the host may call what the plugin provides. */
  readonly directCalls: "refuse" | "allow";
  /** By what the plugin knows its host before it has shaken hands; empty for nothing. */
  readonly hostSecret: string;
  readonly handshake: HandshakeSettings;
  readonly times: SessionTimes;
  readonly clock: Clock;
  readonly backOff: BackOffOptions;
  readonly onEvent: PluginEventListener;
  /** Ends the server; resolves when no connection is left. */
  readonly closeServer: () => Promise<void>;
}

/** How an instance stops. */
export interface StopOptions {
  readonly graceMs: number;
  readonly reason: string;
  /** Whether to take the registrations back; the host does it itself if it asked for the stop. */
  readonly farewell: boolean;
}
