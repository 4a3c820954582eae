import { connect as connectTcp, isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { SocketReader } from "./read-memory.js";
import type { TargetAddress } from "./target-address.js";

/** How long a connection is silent before the system asks whether the other side is still there. */
const keepAliveDelayMs = 60_000;
/**
 * How much a connection takes at once. Less than what is read at once would make every piece of a large body wait for the
 * one before it.
 */
const writableHighWaterMark = 128 * 1024;

/**
 * Begins a connection to a provider: in memory, over a Unix socket, over TCP, or over TLS if the target is `secure`. The
 * caller listens for `error` from the start, and limits the time: there is none here. Written bytes wait until the
 * connection is there. Over TLS that is `secureConnect` (`connect` comes before the handshake); the stream is a
 * `TLSSocket` then, and its `alpnProtocol` says what was agreed on. A stream in memory tells nothing, it is there at once.
 *
 * @param reader takes what comes instead of the stream's `data`; over TCP and Unix sockets only, see `readsDirectly`
 * @param alpn what this side speaks, best first: `["h2", "http/1.1"]`; without it nothing is offered. Used over TLS only
 */
export function dial(target: TargetAddress, alpn?: readonly string[], reader?: SocketReader): Duplex {
  if (target.connect !== undefined) return target.connect();
  const onread = reader === undefined ? {} : { onread: reader };
  if (target.socketPath !== undefined)
    return connectTcp({ path: target.socketPath, writableHighWaterMark, ...onread } as never);
  const { host, port } = target;
  const socket = { noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveDelayMs, writableHighWaterMark };
  const tcp = { host, port, ...socket };
  if (!target.secure) return connectTcp({ ...tcp, ...onread });
  // An address is no name: servers may end a handshake that asks for one (RFC 6066, 3).
  const name = isIP(host) === 0 ? { servername: host } : {};
  const offer = alpn === undefined ? {} : { ALPNProtocols: [...alpn] };
  return connectTls({ ...tcp, ...name, ...target.tls?.connection, ...offer });
}

/** Whether a connection to this target hands what it reads to the `reader` of {@link dial}. */
export const readsDirectly = ({ connect, secure }: TargetAddress): boolean => connect === undefined && !secure;
