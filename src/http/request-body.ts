import { Code, ConnectError } from "@connectrpc/connect";

/** Where a request's body is written to. */
export interface BodySink {
  write(chunk: Uint8Array): boolean;
  on(event: "drain" | "close", listener: () => void): unknown;
  off(event: "drain" | "close", listener: () => void): unknown;
}

/**
 * Writes all that a caller gives, as fast as it is taken; leaves early once `isOver`. Resolves with whether it came to the end. Rejects only
 * with what the caller's own messages throw: a connection that fails is told of by the connection.
 */
export async function pour(body: AsyncIterable<Uint8Array>, sink: BodySink, isOver: () => boolean): Promise<boolean> {
  const chunks = body[Symbol.asyncIterator]();
  for (;;) {
    const next = await chunks.next();
    if (next.done === true) return !isOver();
    if (!isOver() && !sink.write(next.value)) await roomOrEnd(sink);
    if (!isOver()) continue;
    // The caller's clean-up may take as long as it likes, and fail: nobody waits for it.
    chunks.return?.().catch(() => {});
    return false;
  }
}

/** What a call fails with whose messages failed with `error`: with just that, or with the reason why it was given up before. */
export const bodyError = (error: unknown, signal: AbortSignal | undefined): ConnectError =>
  signal?.aborted === true ? ConnectError.from(signal.reason, Code.Canceled) : ConnectError.from(error);

function roomOrEnd(sink: BodySink): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      sink.off("drain", done);
      sink.off("close", done);
      resolve();
    };
    sink.on("drain", done);
    sink.on("close", done);
  });
}
