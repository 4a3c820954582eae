import { type AgentOptions, Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Duplex } from "node:stream";
import type { TargetAddress } from "./target-address.js";

/** The part of a socket that idling needs. Connections in memory may lack it. */
interface IdleSocket {
  setTimeout?(ms: number): unknown;
  unref?(): unknown;
  readonly _httpMessage?: { readonly res?: { readonly headers: { readonly "keep-alive"?: string } } };
}

/**
 * How long a connection may idle: less than what the provider's `Keep-Alive` field says, so that it is never the provider
 * who closes it just when a call goes out.
 */
export function idleMsFor(keepAlive: string | undefined, idleSocketMs: number): number {
  const hint = keepAlive === undefined ? null : /(?:^|[,;\s])timeout=(\d{1,9})/i.exec(keepAlive);
  if (hint === null) return idleSocketMs;
  const peerMs = Number(hint[1]) * 1_000;
  // A second's distance, or half of it where a second is all there is.
  return Math.min(idleSocketMs, Math.max(peerMs - 1_000, peerMs / 2));
}

// Instead of Node's own rule, which ends idle connections at the very moment that the peer named.
function keepSocket(socket: IdleSocket, idleSocketMs: number): boolean {
  const idleMs = idleMsFor(socket._httpMessage?.res?.headers["keep-alive"], idleSocketMs);
  if (idleMs < 1) return false;
  socket.setTimeout?.(idleMs);
  socket.unref?.();
  return true;
}

const agentOptions: AgentOptions = {
  keepAlive: true,
  maxSockets: Number.POSITIVE_INFINITY,
  maxFreeSockets: 1_024,
  scheduling: "lifo",
};

class PlainAgent extends HttpAgent {
  constructor(
    readonly idleSocketMs: number,
    readonly connect: (() => Duplex) | undefined,
  ) {
    super(agentOptions);
    // An own property, so that without `connect` Node's version stays in place.
    if (connect !== undefined) this.createConnection = (() => connect()) as never;
  }
  override keepSocketAlive(socket: Duplex): boolean {
    return keepSocket(socket as unknown as IdleSocket, this.idleSocketMs);
  }
  override reuseSocket(socket: Duplex, request: never): void {
    (socket as unknown as IdleSocket).setTimeout?.(0);
    super.reuseSocket(socket, request);
  }
  declare createConnection: never;
}

class SecureAgent extends HttpsAgent {
  constructor(readonly idleSocketMs: number) {
    super(agentOptions);
  }
  override keepSocketAlive(socket: Duplex): boolean {
    return keepSocket(socket as unknown as IdleSocket, this.idleSocketMs);
  }
  override reuseSocket(socket: Duplex, request: never): void {
    (socket as unknown as IdleSocket).setTimeout?.(0);
    super.reuseSocket(socket, request);
  }
}

/** The pool of HTTP/1.1 connections to one address. */
export const keepAliveAgent = (target: TargetAddress, idleSocketMs: number): HttpAgent =>
  target.secure ? new SecureAgent(idleSocketMs) : new PlainAgent(idleSocketMs, target.connect);
