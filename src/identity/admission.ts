import { isIPv4 } from "node:net";
import type { ConnectionInfo } from "../http/exchange.js";
import type { Principal } from "../model/principal.js";

/** Who may get an identity by a handshake. */
export type AdmissionPolicy =
  /** Anyone who reaches the host over loopback, a Unix socket or in memory; others need the join token. */
  | "local"
  /** Anyone at all. */
  | "open"
  /** Nobody without the join token. */
  | "join-token";

/** Whether an IP address (as Node prints it) is the machine's own loopback. */
export function isLoopbackAddress(address: string): boolean {
  const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
  // Only a whole address counts: 127.example.org is a name that anybody can have.
  return plain === "::1" || (plain.startsWith("127.") && isIPv4(plain));
}

/** Whether a host name or address of a URL leads to the machine itself. */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase();
  return name === "localhost" || name.endsWith(".localhost") || name === "[::1]" || isLoopbackAddress(name);
}

/** Undefined if the principal may get a new identity over this connection, otherwise the reason why not. */
export function admissionRefusal(
  policy: AdmissionPolicy,
  principal: Principal,
  connection: ConnectionInfo,
): string | undefined {
  if (principal.kind === "join" || principal.kind === "launch" || principal.kind === "host") return undefined;
  // A plugin that renews its identity has been admitted before.
  if (principal.kind === "plugin" || policy === "open") return undefined;
  const local = connection.transport !== "tcp" || isLoopbackAddress(connection.remoteAddress);
  if (policy === "local" && local) return undefined;
  return "joining needs the host's join token, as Authorization: Bearer <token> or as /_join/<token> in the host's URL";
}
