import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../internal/clock.js";
import type { Principal } from "../model/principal.js";
import type { ConnectionInfo, ExchangeHandler, ServerExchange } from "./exchange.js";
import type { HttpServerLimits } from "./server-limits.js";

/**
 * Takes over a connection whose caller asked for another protocol, such as WebSocket. `head` is what came after the
 * request's head. The socket has a listener for errors; who takes it ends it.
 */
export type UpgradeHandler = (req: IncomingMessage, socket: Duplex, head: Buffer, connection: ConnectionInfo) => void;

/** Options of a server on one port. */
export interface OnePortServerOptions {
  readonly handler: ExchangeHandler;
  /** Without it, requests to upgrade are served as normal requests, as RFC 9110 (7.8) allows. */
  readonly onUpgrade?: UpgradeHandler;
  /** Told of a handler that threw or rejected; the caller has got 500 or a cut answer then. @default nobody */
  readonly onError?: (error: unknown, exchange: ServerExchange | undefined) => void;
  readonly limits?: HttpServerLimits;
  readonly clock?: Clock;
}

/** Where to listen: a TCP port (0 for any that is free), or the path of a Unix socket. */
export type ListenTarget = { readonly host?: string; readonly port: number } | { readonly path: string };

/** What an accepted connection is, for those that do not come from a port. */
export interface AcceptOptions {
  readonly transport: "memory";
  /** Who is at the other end. @default undefined: what its requests say */
  readonly principal?: Principal | undefined;
}
