import type { Duplex } from "node:stream";
import type { Clock } from "../internal/clock.js";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** What a connection speaks. */
export type DetectedProtocol = "http1" | "http2" | "tls";

// The first byte of a TLS record with a handshake in it (RFC 8446, 5.1). No method of HTTP begins with it.
const tlsHandshake = 0x16;

/** What a connection speaks, by its first bytes; undefined while they could be any. */
export function protocolOf(bytes: Buffer): DetectedProtocol | undefined {
  if (bytes[0] === tlsHandshake) return "tls";
  const length = Math.min(bytes.length, preface.length);
  if (preface.compare(bytes, 0, length, 0, length) !== 0) return "http1";
  return length === preface.length ? "http2" : undefined;
}

/**
 * Waits for a connection's first bytes, puts them back, and tells what it speaks. Destroys the socket if they do not
 * come within `timeoutMs`. The socket is paused when `found` is called.
 */
export function detectProtocol(
  socket: Duplex,
  clock: Clock,
  timeoutMs: number,
  found: (protocol: DetectedProtocol) => void,
): void {
  let bytes: Buffer | undefined;
  const timer = clock.after(timeoutMs, () => socket.destroy());
  const stop = (): void => {
    timer.cancel();
    socket.off("data", onData).off("end", onEnd).off("close", stop);
  };
  const onData = (chunk: Buffer): void => {
    bytes = bytes === undefined ? chunk : Buffer.concat([bytes, chunk]);
    const protocol = protocolOf(bytes);
    if (protocol === undefined) return;
    stop();
    socket.pause();
    socket.unshift(bytes);
    found(protocol);
  };
  const onEnd = (): void => {
    stop();
    socket.destroy();
  };
  socket.on("data", onData).on("end", onEnd).on("close", stop);
}
