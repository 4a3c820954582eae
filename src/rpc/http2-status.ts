import http2 from "node:http2";
import { resetStream } from "../http/reset-stream.js";
import { dial } from "../router/dial.js";
import type { TargetAddress } from "../router/target-address.js";

/**
 * GETs a path over HTTP/2, on a connection of its own, and resolves with the status. Rejects with the error of the connection or
 * the stream, or the reason of the signal.
 */
export function getHttp2Status(target: TargetAddress, path: string, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const scheme = target.secure ? "https" : "http";
    const session = http2.connect(`${scheme}://${target.authority}`, {
      createConnection: () => dial(target, ["h2"]),
      settings: { enablePush: false },
    });
    const stream = session.request({ ":method": "GET", ":path": `${target.basePath}${path}` }, { endStream: true });
    const end = (settle: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      resetStream(stream, http2.constants.NGHTTP2_CANCEL);
      // After the reset, and never from within an event of the session.
      setImmediate(() => setImmediate(() => session.destroy()));
      settle();
    };
    const onAbort = (): void => end(() => reject(signal.reason));
    signal.addEventListener("abort", onAbort, { once: true });
    const failed = (error: Error): void => end(() => reject(error));
    session.on("error", failed);
    stream.on("error", failed);
    // What it says beside the status is of no interest, however long it is.
    stream.on("response", ({ ":status": status = 0 }) => end(() => resolve(status)));
    stream.on("close", () => failed(new Error("the stream was closed without an answer")));
  });
}
