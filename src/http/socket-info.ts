import type { Duplex } from "node:stream";
import type { ConnectionInfo } from "./exchange.js";
import { certificateOf, type MaybeSecureSocket } from "./peer-certificate.js";

/** What a socket says of itself. A connection without an IP address counts as a Unix socket. */
export function connectionInfoOf(socket: Duplex | null | undefined): ConnectionInfo {
  const { remoteAddress, encrypted } = (socket ?? {}) as { remoteAddress?: unknown; encrypted?: unknown };
  const address = typeof remoteAddress === "string" ? remoteAddress : "";
  return {
    transport: address === "" ? "unix" : "tcp",
    // A socket for both families shows IPv4 addresses in their IPv6 form.
    remoteAddress: address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address,
    encrypted: encrypted === true,
    principal: undefined,
    ...(encrypted === true && { peer: certificateOf(socket as MaybeSecureSocket) }),
  };
}
