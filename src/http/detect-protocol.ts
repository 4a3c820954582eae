import type { Duplex } from "node:stream";
import type { Clock } from "../internal/clock.js";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** What a connection speaks, by its first bytes; undefined while they could be either. */
export function protocolOf(bytes: Buffer): "http1" | "http2" | undefined {
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
  found: (protocol: "http1" | "http2") => void,
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
