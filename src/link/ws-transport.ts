import type { RawData, WebSocket } from "ws";
import type { LinkTransport, LinkTransportEvents } from "./link-transport.js";

// Bytes that may wait in the connection before a sender is asked to stop.
const highWaterBytes = 262_144;

// Larger batches are cut: the other side takes no message of more than 4 MiB, and frames may be larger.
const messageBytes = 262_144;

const binary = { binary: true } as const;

/**
 * A link over a WebSocket. Frames travel in binary messages, and a message may hold any number of them or a part of one.
 * Make it before the socket opens, or in the same tick: what comes before `start` is kept, what comes before the transport
 * exists is lost.
 */
export class WsTransport implements LinkTransport {
  readonly #socket: WebSocket;
  #events: LinkTransportEvents | undefined;
  /** What came before there was anybody to hear it. */
  readonly #early: Uint8Array[] = [];
  #ended: { readonly error: Error | undefined } | undefined;
  #full = false;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    let failure: Error | undefined;
    socket.on("message", (data: RawData, isBinary: boolean) => {
      // 1003: a kind of data that is not taken (RFC 6455, 7.4.1).
      if (!isBinary) return socket.close(1003, "binary messages only");
      if (this.#events !== undefined) return this.#events.data(data as Buffer);
      this.#early.push(data as Buffer);
      socket.pause();
    });
    socket.on("error", (error) => {
      failure = error;
    });
    socket.once("close", (code: number, reason: Buffer) => {
      // 1000 and 1001 are ends that nobody is unhappy about; 1005 is a close frame that gives no reason.
      const expected = code === 1000 || code === 1001 || code === 1005;
      const error = expected ? undefined : new Error(`the WebSocket was closed with ${code} ${reason}`.trim());
      this.#ended = { error: failure ?? error };
      this.#events?.close(this.#ended.error);
    });
  }

  start(events: LinkTransportEvents): void {
    if (this.#early.length === 0 && this.#ended === undefined) {
      this.#events = events;
      return;
    }
    // Not before `start` has returned.
    process.nextTick(() => {
      this.#events = events;
      for (const bytes of this.#early.splice(0)) events.data(bytes);
      if (this.#ended !== undefined) events.close(this.#ended.error);
      else this.#socket.resume();
    });
  }

  send(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    for (let at = 0; at < bytes.length; at += messageBytes) {
      socket.send(bytes.length <= messageBytes ? bytes : bytes.subarray(at, at + messageBytes), binary, this.#sent);
    }
    this.#full = socket.bufferedAmount > highWaterBytes;
    return !this.#full;
  }

  close(): void {
    this.#socket.close(1000);
  }

  destroy(): void {
    this.#socket.terminate();
  }

  // One function for all messages. An error is followed by `close`.
  readonly #sent = (): void => {
    if (!this.#full || this.#socket.bufferedAmount > highWaterBytes / 4) return;
    this.#full = false;
    this.#events?.drain();
  };
}
