import type { PluginAddress } from "../model/address.js";
import { isLoopbackAddress, isLoopbackHost } from "./admission.js";

/** Where plugins that register by themselves may say that they listen. */
export type BaseUrlPolicy =
  /** At the address that they call from; on this machine only if they call from it. */
  | "peer-or-loopback"
  /** Anywhere that the host can reach. */
  | "any";

/**
 * Undefined if a plugin that calls from `peerAddress` may say that it listens at `address`, otherwise why not; for people, to
 * follow the name of the field. Without that rule a plugin could make the host call whatever the host can reach.
 *
 * @param peerAddress empty for callers over a Unix socket or in memory, who are on this machine
 */
export function baseUrlRefusal(policy: BaseUrlPolicy, address: PluginAddress, peerAddress: string): string | undefined {
  if (policy === "any" || (address.kind !== "http" && address.kind !== "unix")) return undefined;
  const isLocal = peerAddress === "" || isLoopbackAddress(peerAddress);
  if (address.kind === "unix") {
    return isLocal ? undefined : "is a socket on the host's machine, but the plugin calls from another one";
  }
  const { hostname } = new URL(address.url);
  if (isLoopbackHost(hostname)) {
    return isLocal ? undefined : "is a loopback address, but the plugin calls from another machine";
  }
  if (hostname.replace(/^\[|\]$/g, "") === peerAddress) return undefined;
  return `must be on loopback or at the address that the plugin calls from (${peerAddress || "this machine"}); the option baseUrls widens that`;
}
