import type { Server as HttpServer, IncomingMessage, ServerResponse } from "node:http";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, systemClock } from "../internal/clock.js";
import type { Deferred } from "../internal/deferred.js";
import { deferred } from "../internal/deferred.js";
import { type BaseExchange, ignoreError } from "./base-exchange.js";
import { ConnectionIntake } from "./connection-intake.js";
import type { ConnectionInfo, ServerExchange } from "./exchange.js";
import { canUpgrade, headWithoutUpgrade } from "./h2c-upgrade.js";
import { holdInput } from "./held-input.js";
import { Http1Exchange, type Http1ExchangeOptions } from "./http1-exchange.js";
import { newHttp1Server, takeConnections } from "./http1-server.js";
import { Http2Exchange } from "./http2-exchange.js";
import { serveHttp2 } from "./http2-server-session.js";
import type { AcceptOptions, ListenTarget, OnePortServerOptions } from "./one-port-options.js";
import { answerPlain, http1Refusal, http2Refusal, type Refusal } from "./request-check.js";
import type { DrainLimits } from "./request-drain.js";
import type { ServerConnection } from "./server-connection.js";
import { type HttpServerLimits, resolveServerLimits } from "./server-limits.js";
import type { ResolvedServerTls } from "./server-tls.js";
import { connectionInfoOf } from "./socket-info.js";
import type { KeyPair } from "./tls-material.js";
import { WriteBatch } from "./write-batch.js";

export type { AcceptOptions, ListenTarget, OnePortServerOptions, UpgradeHandler } from "./one-port-options.js";

/** A server for HTTP/1.1 and HTTP/2 on one port, in cleartext or, with a certificate, over TLS. */
export interface OnePortServer {
  /**
   * Starts to listen; with `tls`, on a TCP port only. Rejects with Node's error if that is not possible, and with
   * PluginHostError `INVALID_ARGUMENT` if OpenSSL does not take the certificate. Call again only after it rejected.
   * @default host 127.0.0.1
   */
  listen(target: ListenTarget, tls?: ResolvedServerTls): Promise<void>;
  /**
   * Uses another certificate for the connections that come from now on. False if there is none to replace.
   *
   * @throws PluginHostError `INVALID_ARGUMENT`; nothing has changed then
   */
  setCertificate(keyPair: KeyPair): boolean;
  /** Where it listens; a text for a Unix socket, undefined while it does not listen. */
  address(): AddressInfo | string | undefined;
  /** Serves a connection in memory, which carries HTTP/1.1 only. Destroys it when the server is closed. */
  accept(socket: Duplex, options: AcceptOptions): void;
  /**
   * The server is about to be closed: connections from outside end with the answers of their exchanges from now on, so that
   * nobody sends another request on one that is just being closed. New ones are still accepted. Idempotent.
   */
  leave(): void;
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
  readonly #batch = new WriteBatch();
  readonly #clock: Clock;
  readonly #http1: HttpServer;
  readonly #serveHttp1: (socket: Duplex) => void;
  readonly #intake: ConnectionIntake;
  #isLeaving = false;
  #listening = false;
  #closing: Deferred<void> | undefined;

  constructor(options: OnePortServerOptions) {
    this.#options = options;
    this.#limits = resolveServerLimits(options.limits);
    this.#drain = { maxBytes: this.#limits.dropMaxBytes, timeoutMs: this.#limits.dropTimeoutMs };
    this.#clock = options.clock ?? systemClock;
    this.#http1 = this.#createHttp1();
    this.#serveHttp1 = takeConnections(this.#http1);
    this.#intake = new ConnectionIntake({
      clock: this.#clock,
      firstByteTimeoutMs: this.#limits.firstByteTimeoutMs,
      serveHttp1: (connection) => {
        connection.becomes("http1");
        this.#serveHttp1(connection.socket);
      },
      serveHttp2: (connection) =>
        void serveHttp2(connection, this.#limits, (...request) => this.#serveStream(connection, ...request)),
      onClosed: () => this.#closedIfDone(),
    });
    this.#http1.on("connection", (socket: Socket) => this.#accept(socket, connectionInfoOf(socket)));
  }

  get openConnections(): number {
    return this.#intake.size;
  }

  get openExchanges(): number {
    let count = 0;
    for (const connection of this.#intake.all()) count += connection.exchanges.size;
    return count;
  }

  async listen(target: ListenTarget, tls?: ResolvedServerTls): Promise<void> {
    if (tls !== undefined) this.#intake.secure(tls);
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

  setCertificate(keyPair: KeyPair): boolean {
    return this.#intake.setCertificate(keyPair);
  }

  address(): AddressInfo | string | undefined {
    return this.#http1.address() ?? undefined;
  }

  accept(socket: Duplex, { transport, principal }: AcceptOptions): void {
    this.#accept(socket, { transport, remoteAddress: "", encrypted: false, principal });
  }

  leave(): void {
    this.#isLeaving = true;
    for (const connection of this.#intake.all()) {
      // Where an answer has begun without saying that it is the last, another request may be on its way.
      const isOpen = [...connection.exchanges].some(({ responded }) => !responded);
      if (isOpen) this.#endAfterExchanges(connection);
    }
  }

  #endAfterExchanges(connection: ServerConnection): void {
    if (connection.info.transport !== "memory") connection.close();
  }

  close({ graceMs = 5_000 }: { readonly graceMs?: number } = {}): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = deferred();
      if (this.#listening) this.#http1.close(() => this.#closedIfDone());
      for (const connection of this.#intake.all()) connection.close();
    }
    const timer = this.#clock.after(graceMs, () => {
      for (const connection of this.#intake.all()) connection.destroy();
    });
    this.#closedIfDone();
    return this.#closing.promise.finally(() => timer.cancel());
  }

  #closedIfDone(): void {
    if (this.#intake.size === 0 && !this.#http1.listening) this.#closing?.resolve();
  }

  #createHttp1(): HttpServer {
    const server = newHttp1Server(this.#limits, (req) => this.#isUpgrade(req));
    const serve = (req: IncomingMessage, res: ServerResponse): void => this.#serveRequest(req, res, false);
    server.on("request", serve).on("checkExpectation", serve);
    server.on("checkContinue", (req, res) => this.#serveRequest(req, res, true));
    server.on("connect", (req, _socket, head) => this.#handOver(req, head, (connection) => connection.refuse(501)));
    server.on("clientError", (error: NodeJS.ErrnoException, socket) => this.#refuseBadRequest(error, socket));
    // Needed without a handler for upgrades too: Node without a listener loses what follows such a request's head.
    server.on("upgrade", (req, _socket, head) => {
      this.#handOver(req, head, (connection, input) => this.#upgrade(connection, req, input));
    });
    return server;
  }

  #accept(socket: Duplex, info: ConnectionInfo): void {
    if (this.#closing === undefined) this.#intake.accept(socket, info);
    else socket.destroy();
  }

  #serveStream(
    connection: ServerConnection,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
  ): void {
    const exchange = new Http2Exchange(stream, headers, rawHeaders, this.#exchangeOptions(connection));
    const refusal = http2Refusal(headers, rawHeaders, this.#limits, this.#limits.maxHeaderBytes);
    this.#serve(connection, exchange, refusal);
    // Who sends what only an attacker or a broken program sends has to connect again; its other calls go on to their ends.
    if (refusal?.status === 400) connection.close();
  }

  #serveRequest(req: IncomingMessage, res: ServerResponse, continueWanted: boolean): void {
    const connection = this.#intake.connectionOf(req.socket);
    if (connection === undefined) return void req.socket.destroy();
    // What comes behind a refused request may be a part of it that somebody wanted to pass off as another one.
    if (connection.refusing) return;
    // Node reads nothing behind a request whose upgrade it was told to ignore.
    if (req.headers.upgrade !== undefined) res.shouldKeepAlive = false;
    const exchange = new Http1Exchange(req, res, this.#exchangeOptions(connection), continueWanted);
    const refusal = http1Refusal(req, this.#limits, continueWanted ? undefined : req.headers.expect);
    if (refusal !== undefined) connection.refuseOthers();
    this.#serve(connection, exchange, refusal);
  }

  #exchangeOptions(connection: ServerConnection): Http1ExchangeOptions {
    connection.exchangeOptions ??= {
      connection: connection.info,
      owner: connection,
      drain: this.#drain,
      clock: this.#clock,
      batch: this.#batch,
      // What comes in memory may be the caller's own bytes.
      ownsBody: connection.info.transport !== "memory",
    };
    return connection.exchangeOptions;
  }

  #serve(connection: ServerConnection, exchange: BaseExchange, refusal: Refusal | undefined): void {
    connection.begin(exchange);
    if (this.#isLeaving) this.#endAfterExchanges(connection);
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
    const connection = this.#intake.connectionOf(socket);
    if (connection === undefined || error.code === "ECONNRESET" || error.code === "EPIPE") return void socket.destroy();
    if (error.code === "HPE_HEADER_OVERFLOW") connection.refuse(431);
    else connection.refuse(error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? 408 : 400);
  }

  /** Whether a request for another protocol goes to the handler for upgrades, and is not served like any other. */
  #isUpgrade(req: IncomingMessage): boolean {
    return this.#options.onUpgrade !== undefined && canUpgrade(req);
  }

  /** Node has let go of the connection; the answers in front of this request have to leave all the same. */
  #handOver(
    { socket }: IncomingMessage,
    head: Buffer,
    then: (connection: ServerConnection, input: Buffer) => void,
  ): void {
    const connection = this.#intake.connectionOf(socket);
    if (connection === undefined) return void socket.destroy();
    if (connection.refusing) return void holdInput(socket, head);
    connection.afterAnswers(head, (input) => then(connection, input));
  }

  #upgrade(connection: ServerConnection, req: IncomingMessage, head: Buffer): void {
    const { socket } = connection;
    const { onUpgrade } = this.#options;
    if (onUpgrade === undefined || !this.#isUpgrade(req)) {
      socket.pause();
      socket.unshift(Buffer.concat([headWithoutUpgrade(req), head]));
      return this.#serveHttp1(socket);
    }
    const refusal = http1Refusal(req, this.#limits, req.headers.expect);
    if (refusal !== undefined) return connection.refuse(refusal.status);
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
