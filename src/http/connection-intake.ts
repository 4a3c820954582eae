import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../internal/clock.js";
import { ignoreError } from "./base-exchange.js";
import { type DetectedProtocol, detectProtocol } from "./detect-protocol.js";
import type { ConnectionInfo } from "./exchange.js";
import { ServerConnection } from "./server-connection.js";
import type { ResolvedServerTls } from "./server-tls.js";
import { connectionInfoOf } from "./socket-info.js";
import { TlsFront } from "./tls-front.js";
import type { KeyPair } from "./tls-material.js";

/** What becomes of the connections of a {@link ConnectionIntake}. The sockets are paused when they are handed over. */
export interface ConnectionIntakeParts {
  readonly clock: Clock;
  readonly firstByteTimeoutMs: number;
  readonly serveHttp1: (connection: ServerConnection) => void;
  readonly serveHttp2: (connection: ServerConnection) => void;
  /** A connection is gone. */
  readonly onClosed: () => void;
}

/**
 * The connections of a server, from the first byte on: finds out what each of them speaks, does the handshake of those that
 * speak TLS, and keeps count of them.
 */
export class ConnectionIntake {
  readonly #parts: ConnectionIntakeParts;
  readonly #connections = new Map<Duplex, ServerConnection>();
  #tls: TlsFront | undefined;

  constructor(parts: ConnectionIntakeParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** A copy: connections may be closed while somebody goes through it. */
  all(): ServerConnection[] {
    return [...this.#connections.values()];
  }

  connectionOf(socket: Duplex): ServerConnection | undefined {
    return this.#connections.get(socket);
  }

  /** From now on connections over TCP speak TLS. @throws PluginHostError `INVALID_ARGUMENT` */
  secure(tls: ResolvedServerTls): void {
    this.#tls = new TlsFront(tls, this.#parts.clock, (socket, under) => this.#secured(socket, under));
  }

  /** Uses another certificate for handshakes from now on. False if there is none to replace. @throws PluginHostError */
  setCertificate(keyPair: KeyPair): boolean {
    this.#tls?.setCertificate(keyPair);
    return this.#tls !== undefined;
  }

  accept(socket: Duplex, info: ConnectionInfo): void {
    const { clock, firstByteTimeoutMs } = this.#parts;
    const connection = this.#track(socket, info);
    const tls = info.encrypted || info.transport !== "tcp" ? undefined : this.#tls;
    detectProtocol(socket, clock, firstByteTimeoutMs, (protocol) => {
      if (tls === undefined || (tls.allowCleartext && protocol !== "tls")) this.#serve(connection, protocol);
      else if (protocol === "tls") tls.accept(socket as Socket);
      else refuseCleartext(connection, protocol);
    });
  }

  #serve(connection: ServerConnection, protocol: DetectedProtocol): void {
    const { socket, info } = connection;
    // node:http2 on a stream that is no socket fails an assertion of its own, which ends the process, when it writes
    // while it shuts down. HTTP/1.1 in memory has both directions at once and trailers, so nothing is missed.
    if (protocol === "http2" && info.transport !== "memory") this.#parts.serveHttp2(connection);
    // Who has agreed on HTTP/2 (by ALPN) has to speak it.
    else if ("alpnProtocol" in socket && socket.alpnProtocol === "h2") socket.destroy();
    // What is no HTTP at all gets 400 there.
    else this.#parts.serveHttp1(connection);
  }

  #track(socket: Duplex, info: ConnectionInfo): ServerConnection {
    const connection = new ServerConnection(socket, info, this.#parts.clock);
    this.#connections.set(socket, connection);
    socket.on("error", ignoreError);
    socket.once("close", () => {
      this.#connections.delete(socket);
      this.#parts.onClosed();
    });
    return connection;
  }

  /** A handshake is done: from here on the connection is the one with the bytes in clear. */
  #secured(socket: Socket, under: Socket): void {
    this.accept(socket, connectionInfoOf(socket));
    this.#connections.delete(under);
  }
}

function refuseCleartext(connection: ServerConnection, protocol: DetectedProtocol): void {
  if (protocol === "http2") return void connection.socket.destroy();
  connection.refuse(400, "this port speaks TLS only: use https://");
  connection.socket.resume();
}
