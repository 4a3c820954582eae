import type { Http2Stream } from "node:http2";

/**
 * Resets a stream of node:http2 at the end of this turn of the event loop.
 *
 * Not at once: from within an event of the stream's own session node only takes note of a reset, forgets it when the stream is
 * destroyed in the same turn, and then sends empty frames of that stream for ever, which stops the whole process.
 *
 * @param code error code of HTTP/2 (RFC 9113, 7)
 */
export function resetStream(stream: Http2Stream, code: number): void {
  setImmediate(() => {
    if (stream.destroyed) return;
    // Closed by the other side meanwhile. With something left to write node would wait for that for ever.
    if (stream.closed) stream.destroy();
    else stream.close(code);
  });
}
