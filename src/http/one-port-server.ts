import http, { type IncomingMessage, type ServerResponse } from "node:http";
import http2, { type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, systemClock } from "../internal/clock.js";
import type { Deferred } from "../internal/deferred.js";
import { deferred } from "../internal/deferred.js";
import type { Principal } from "../model/principal.js";
import { type BaseExchange, ignoreError } from "./base-exchange.js";
import { detectProtocol } from "./detect-protocol.js";
import type { ConnectionInfo, ExchangeHandler, ServerExchange } from "./exchange.js";
import { asksForH2c, hasBody, headWithoutUpgrade } from "./h2c-upgrade.js";
import { Http1Exchange } from "./http1-exchange.js";
import { Http2Exchange } from "./http2-exchange.js";
import { answerPlain, countAuthorities, countHosts, requestRefusal } from "./request-check.js";
import type { DrainLimits } from "./request-drain.js";
import { ServerConnection } from "./server-connection.js";
import { type HttpServerLimits, resolveServerLimits } from "./server-limits.js";
import { connectionInfoOf } from "./socket-info.js";

/**
 * Takes over a connection whose caller asked for another protocol, such as WebSocket. `head` is what came after the
 * request's head. The socket has a listener for errors; who takes it ends it.
 */
export type UpgradeHandler = (req: IncomingMessage, socket: Duplex, head: Buffer, connection: ConnectionInfo) => void;

/** Options of {@link createOnePortServer}. */
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

/** A server for HTTP/1.1 and HTTP/2 in cleartext on one port. */
export interface OnePortServer {
  /**
   * Starts to listen. Rejects with Node's error if that is not possible. Call once.
   * @default host 127.0.0.1
   */
  listen(target: ListenTarget): Promise<void>;
  /** Where it listens; a text for a Unix socket, undefined while it does not listen. */
  address(): AddressInfo | string | undefined;
  /** Serves a connection in memory, which carries HTTP/1.1 only. Destroys it when the server is closed. */
  accept(socket: Duplex, options: AcceptOptions): void;
  /**
   * Stops to accept, closes idle connections at once and the others after their exchanges, or after `graceMs` at
   * the latest. Resolves when no connection is left. Every caller gets the same promise; an earlier deadline wins.
   * @default graceMs 5_000
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
  readonly openConnections: number;
  readonly openExchanges: number;
}

/**
 * Makes a server that listens nowhere yet.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the limit
 */
export function createOnePortServer(options: OnePortServerOptions): OnePortServer {
  return new Server(options);
}

class Server implements OnePortServer {
  readonly #options: OnePortServerOptions;
  readonly #limits: Readonly<Required<HttpServerLimits>>;
  readonly #drain: DrainLimits;
  readonly #clock: Clock;
  readonly #http1: http.Server;
  readonly #serveHttp1: (socket: Duplex) => void;
  readonly #connections = new Map<Duplex, ServerConnection>();
  #listening = false;
  #closing: Deferred<void> | undefined;

  constructor(options: OnePortServerOptions) {
    this.#options = options;
    this.#limits = resolveServerLimits(options.limits);
    this.#drain = { maxBytes: this.#limits.dropMaxBytes, timeoutMs: this.#limits.dropTimeoutMs };
    this.#clock = options.clock ?? systemClock;
    this.#http1 = this.#createHttp1();
    const [listener] = this.#http1.listeners("connection");
    this.#http1.removeAllListeners("connection");
    this.#serveHttp1 = (socket) => void listener?.call(this.#http1, socket);
    this.#http1.on("connection", (socket: Socket) => this.#accept(socket, connectionInfoOf(socket)));
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  get openExchanges(): number {
    let count = 0;
    for (const connection of this.#connections.values()) count += connection.exchanges.size;
    return count;
  }

  listen(target: ListenTarget): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#http1.once("error", reject);
      this.#http1.listen("path" in target ? target : { host: "127.0.0.1", ...target }, () => {
        this.#http1.off("error", reject);
        // What fails later (too many open files, say) is the failure of one connection.
        this.#http1.on("error", (error) => this.#report(error, undefined));
        this.#listening = true;
        resolve();
      });
    });
  }

  address(): AddressInfo | string | undefined {
    return this.#http1.address() ?? undefined;
  }

  accept(socket: Duplex, { transport, principal }: AcceptOptions): void {
    this.#accept(socket, { transport, remoteAddress: "", encrypted: false, principal });
  }

  close({ graceMs = 5_000 }: { readonly graceMs?: number } = {}): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = deferred();
      if (this.#listening) this.#http1.close(() => this.#closedIfDone());
      for (const connection of [...this.#connections.values()]) connection.close();
    }
    const timer = this.#clock.after(graceMs, () => {
      for (const connection of [...this.#connections.values()]) connection.destroy();
    });
    this.#closedIfDone();
    return this.#closing.promise.finally(() => timer.cancel());
  }

  #closedIfDone(): void {
    if (this.#connections.size === 0 && !this.#http1.listening) this.#closing?.resolve();
  }

  #createHttp1(): http.Server {
    const { headersTimeoutMs, keepAliveTimeoutMs, maxHeaderBytes } = this.#limits;
    // Newer versions of Node ask before they take a request for an upgrade; older ones hand over all of them, and what was
    // none is put back. Node 26 keeps the body of what it hands over, so that cannot be put back.
    const shouldUpgradeCallback = (req: IncomingMessage): boolean => this.#isUpgrade(req) || !hasBody(req);
    const server = http.createServer({
      ...{ shouldUpgradeCallback },
      // Streams live as long as they like; what is limited is the time for a head.
      requestTimeout: 0,
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: Math.min(5_000, headersTimeoutMs),
      keepAliveTimeout: keepAliveTimeoutMs,
      maxHeaderSize: maxHeaderBytes,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
    });
    const serve = (req: IncomingMessage, res: ServerResponse): void => this.#serveRequest(req, res, false);
    server.on("request", serve).on("checkExpectation", serve);
    server.on("checkContinue", (req, res) => this.#serveRequest(req, res, true));
    server.on("connect", (_req, socket) => this.#connections.get(socket)?.refuse(501));
    server.on("clientError", (error: NodeJS.ErrnoException, socket) => this.#refuseBadRequest(error, socket));
    // Needed without a handler for upgrades too: Node without a listener loses what follows such a request's head.
    server.on("upgrade", (req, socket, head) => this.#upgrade(req, socket, head));
    return server;
  }

  #accept(socket: Duplex, info: ConnectionInfo): void {
    if (this.#closing !== undefined) return void socket.destroy();
    const connection = new ServerConnection(socket, info, this.#clock);
    this.#connections.set(socket, connection);
    socket.on("error", ignoreError);
    socket.once("close", () => {
      this.#connections.delete(socket);
      this.#closedIfDone();
    });
    detectProtocol(socket, this.#clock, this.#limits.firstByteTimeoutMs, (protocol) => {
      // node:http2 on a stream that is no socket fails an assertion of its own, which ends the process, when it writes
      // while it shuts down. HTTP/1.1 in memory has both directions at once and trailers, so nothing is missed.
      if (protocol === "http2" && info.transport !== "memory") return this.#serveHttp2(connection);
      connection.becomes("http1");
      this.#serveHttp1(socket);
      socket.resume();
    });
  }

  #serveHttp2(connection: ServerConnection): void {
    const { maxConcurrentStreams, streamWindowBytes, connectionWindowBytes, maxHeaderBytes } = this.#limits;
    // The server of node:http accepts half-open connections. A caller of HTTP/2 that closes its side is gone, and with
    // half of the connection left open its streams would never be told.
    connection.socket.allowHalfOpen = false;
    const session = http2.performServerHandshake(connection.socket, {
      // Megabytes that node:http2 may hold for a session; streams beyond it are refused.
      maxSessionMemory: Math.ceil((2 * connectionWindowBytes) / 1_000_000) + 10,
      settings: { maxConcurrentStreams, initialWindowSize: streamWindowBytes, maxHeaderListSize: maxHeaderBytes },
    });
    connection.becomes(session);
    // The caller sees its streams or its connection end; there is nothing more to do about it.
    session.on("error", ignoreError);
    session.setLocalWindowSize(connectionWindowBytes);
    const serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw: unknown): void =>
      this.#serveStream(connection, session, stream, headers, raw as string[]);
    session.on("stream", serve as (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number) => void);
  }

  #serveStream(
    connection: ServerConnection,
    session: ServerHttp2Session,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
  ): void {
    if (stream.destroyed || session.destroyed) return void stream.on("error", ignoreError);
    const exchange = new Http2Exchange(stream, headers, rawHeaders, this.#exchangeOptions(connection));
    this.#serve(connection, exchange, headers.expect, countAuthorities(headers, rawHeaders));
  }

  #serveRequest(req: IncomingMessage, res: ServerResponse, continueWanted: boolean): void {
    const connection = this.#connections.get(req.socket);
    if (connection === undefined) return void req.socket.destroy();
    // Node reads nothing behind a request whose upgrade it was told to ignore.
    if (req.headers.upgrade !== undefined) res.shouldKeepAlive = false;
    const exchange = new Http1Exchange(req, res, { ...this.#exchangeOptions(connection), continueWanted });
    const expect = continueWanted ? undefined : req.headers.expect;
    this.#serve(connection, exchange, expect, countHosts(req.rawHeaders));
  }

  #exchangeOptions(connection: ServerConnection) {
    return { connection: connection.info, owner: connection, drain: this.#drain, clock: this.#clock };
  }

  #serve(connection: ServerConnection, exchange: BaseExchange, expect: string | undefined, hosts: number): void {
    connection.begin(exchange);
    const refusal = requestRefusal(exchange.head.method, exchange.head.target, expect, hosts);
    try {
      if (refusal !== undefined) {
        return answerPlain(exchange, refusal.status, refusal.message, ["connection", "close"]);
      }
      this.#options.handler(exchange)?.catch((error: unknown) => this.#handlerFailed(error, exchange));
    } catch (error) {
      this.#handlerFailed(error, exchange);
    }
  }

  #handlerFailed(error: unknown, exchange: ServerExchange): void {
    this.#report(error, exchange);
    if (exchange.responded) exchange.abort();
    else answerPlain(exchange, 500, "internal error");
  }

  #report(error: unknown, exchange: ServerExchange | undefined): void {
    try {
      this.#options.onError?.(error, exchange);
    } catch {
      // A report that fails must not fail the server.
    }
  }

  #refuseBadRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined || error.code === "ECONNRESET" || error.code === "EPIPE") return void socket.destroy();
    if (error.code === "HPE_HEADER_OVERFLOW") connection.refuse(431);
    else connection.refuse(error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? 408 : 400);
  }

  /** Whether a request for another protocol goes to the handler for upgrades, and is not served like any other. */
  #isUpgrade(req: IncomingMessage): boolean {
    return this.#options.onUpgrade !== undefined && !asksForH2c(req);
  }

  #upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const connection = this.#connections.get(socket);
    const { onUpgrade } = this.#options;
    // An upgrade sent behind a request that is still being answered cannot be served in order.
    if (connection === undefined || connection.exchanges.size > 0) return void socket.destroy();
    if (onUpgrade === undefined || !this.#isUpgrade(req)) {
      socket.pause();
      socket.unshift(Buffer.concat([headWithoutUpgrade(req), head]));
      this.#serveHttp1(socket);
      return void socket.resume();
    }
    connection.becomes("upgraded");
    socket.on("error", ignoreError);
    try {
      onUpgrade(req, socket, head, connection.info);
    } catch (error) {
      this.#report(error, undefined);
      socket.destroy();
    }
  }
}
