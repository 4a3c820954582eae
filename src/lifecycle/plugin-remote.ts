import type { PluginAddress } from "../model/address.js";
import type { PluginDeclaration, ServiceDeclaration } from "../model/declarations.js";
import type { HealthVerdict } from "../model/health.js";

/** The identity that the host gives to a managed plugin. */
export interface GivenIdentity {
  readonly runtimeId: string;
  readonly token: string;
  readonly hostUrl: string;
}

/** What a plugin answers when asked for its health. */
export interface RemoteHealth {
  readonly verdict: HealthVerdict | undefined;
  readonly reason: string;
  readonly unavailableDependencies: readonly string[];
}

/**
 * What the host asks of a plugin. Every method rejects with a PluginHostError: `PLUGIN_UNREACHABLE` if nothing
 * answers at the address, `PLUGIN_PROTOCOL` if something answers that does not follow the wire contract.
 * `"unimplemented"` means that the plugin does not have this service, which is allowed.
 */
export interface PluginRemote {
  getPluginInfo(signal: AbortSignal): Promise<PluginDeclaration | "unimplemented">;
  /** Asks a plugin that is itself a handshake server what it offers. */
  handshake(signal: AbortSignal): Promise<readonly ServiceDeclaration[] | "unimplemented">;
  /** `guarded`: accepted, and the plugin checks on every call the host's secret that it has from its launch. */
  setRuntimeIdentity(
    identity: GivenIdentity,
    signal: AbortSignal,
  ): Promise<"accepted" | "guarded" | "refused" | "unimplemented">;
  getHealth(signal: AbortSignal): Promise<RemoteHealth | "unimplemented">;
  /** Resolves if something accepts a connection at the address. */
  connect(signal: AbortSignal): Promise<void>;
  /** GETs a path and resolves with its HTTP status. */
  getStatus(path: string, signal: AbortSignal): Promise<number>;
  shutdown(graceMs: number, reason: string, signal: AbortSignal): Promise<"acknowledged" | "refused" | "unimplemented">;
  /** Closes connections. */
  close(): void;
}

/** Opens a remote for an address. Opens no connection yet. `hostSecret` is by what the plugin knows the host, if it has that. */
export type OpenRemote = (address: PluginAddress, hostSecret?: () => string | undefined) => PluginRemote;
