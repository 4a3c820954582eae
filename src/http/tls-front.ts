import type { Socket } from "node:net";
import { createSecureContext, createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls";
import { invalid } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { ignoreError } from "./base-exchange.js";
import type { ResolvedServerTls } from "./server-tls.js";
import type { KeyPair } from "./tls-material.js";

/** A connection that is in its handshake. */
interface Handshake {
  readonly socket: Socket;
  end(): void;
}

/**
 * Does the handshakes for connections that somebody else has accepted. `onSecure` gets each connection whose handshake is
 * done, and the socket under it. The others are destroyed, at the latest when their time is over.
 */
export class TlsFront {
  readonly #tls: ResolvedServerTls;
  readonly #clock: Clock;
  readonly #server: Server;
  /** By the four numbers that make a TCP connection: Node does not tell on which socket a handshake was done. */
  readonly #handshakes = new Map<string, Handshake>();

  /** @throws PluginHostError `INVALID_ARGUMENT` if OpenSSL does not take the certificate */
  constructor(tls: ResolvedServerTls, clock: Clock, onSecure: (socket: TLSSocket, under: Socket) => void) {
    this.#tls = tls;
    this.#clock = clock;
    this.#server = createServer(checkContext(tls, tls.keyPair));
    this.#server.on("secureConnection", (socket) => {
      const handshake = this.#handshakes.get(nameOf(socket));
      // It was late, and is destroyed already.
      if (handshake === undefined) return void socket.destroy();
      handshake.end();
      socket.allowHalfOpen = true;
      onSecure(socket, handshake.socket);
    });
    // Node destroys the connection; that a caller went away or speaks no TLS is no news.
    this.#server.on("tlsClientError", ignoreError);
  }

  get allowCleartext(): boolean {
    return this.#tls.allowCleartext;
  }

  /** Begins the handshake on a TCP connection whose first bytes were put back. */
  accept(socket: Socket): void {
    const name = nameOf(socket);
    // Node's own limit is one of silence: a caller who sends a byte now and then would never reach it.
    const timer = this.#clock.after(this.#tls.handshakeTimeoutMs, () => socket.destroy());
    const end = (): void => {
      timer.cancel();
      if (this.#handshakes.get(name)?.socket === socket) this.#handshakes.delete(name);
    };
    socket.once("close", end);
    this.#handshakes.set(name, { socket, end });
    // A caller who hangs up before the handshake is done is gone.
    socket.allowHalfOpen = false;
    this.#server.emit("connection", socket);
  }

  /**
   * Uses another certificate for handshakes that begin from now on.
   *
   * @throws PluginHostError `INVALID_ARGUMENT`; the certificate from before stays then
   */
  setCertificate(keyPair: KeyPair): void {
    // First on its own: Node would throw half-way, with the old certificate gone.
    this.#server.setSecureContext(checkContext(this.#tls, keyPair));
  }
}

function checkContext({ settings }: ResolvedServerTls, keyPair: KeyPair): SecureContextOptions {
  const { cert, key, passphrase } = keyPair;
  const options = {
    ...settings,
    cert: Buffer.from(cert),
    key: Buffer.from(key),
    ...(passphrase === undefined ? undefined : { passphrase }),
  };
  try {
    createSecureContext(options);
  } catch (cause) {
    // Such as a key that is too short for today.
    throw invalid("tls.cert", `is refused by OpenSSL: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
  return options;
}

const nameOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
