import type { Duplex } from "node:stream";
import type { LinkTransport, LinkTransportEvents } from "./link-transport.js";

/** A link straight on a stream of bytes: a Unix socket, a TCP socket, or a connection in memory. */
export class SocketTransport implements LinkTransport {
  readonly #socket: Duplex;
  readonly #first: Uint8Array | undefined;

  /** @param first bytes that came behind the opening, before the socket was handed over */
  constructor(socket: Duplex, first?: Uint8Array) {
    this.#socket = socket;
    this.#first = first;
  }

  start(events: LinkTransportEvents): void {
    const socket = this.#socket;
    let failure: Error | undefined;
    if (this.#first !== undefined && this.#first.length > 0) socket.unshift(this.#first);
    socket.on("data", (chunk: Buffer) => events.data(chunk));
    socket.on("drain", () => events.drain());
    socket.on("error", (error) => {
      failure = error;
    });
    // Half-open connections are of no use to a link: each side must be able to answer the other.
    socket.once("end", () => socket.end());
    socket.once("close", () => events.close(failure));
    // For a socket that was closed before anybody listened; nothing else would say so.
    if (socket.closed) process.nextTick(() => events.close(failure));
  }

  send(bytes: Uint8Array): boolean {
    if (!this.#socket.writable) return true;
    return this.#socket.write(bytes);
  }

  close(): void {
    if (this.#socket.writable) this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
