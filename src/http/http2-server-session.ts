import http2, { type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { ignoreError } from "./base-exchange.js";
import { fieldOverheadBytes } from "./request-check.js";
import type { ServerConnection } from "./server-connection.js";
import type { HttpServerLimits } from "./server-limits.js";

/** Takes one request of an HTTP/2 connection. */
export type ServeStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: readonly string[]) => void;

/** The limits of a connection that node:http2 sees to. */
export type Http2Limits = Readonly<
  Required<
    Pick<HttpServerLimits, "maxConcurrentStreams" | "streamWindowBytes" | "connectionWindowBytes" | "maxHeaderBytes">
  >
>;

/** A head may be this many times too large and still get an answer. Beyond that node:http2 resets its stream. */
const answeredUpTo = 4;

/** The longest list of fields that node:http2 takes, whatever it is told. */
const longestListBytes = 16 * 1024 * 1024 - 1;

/** Speaks HTTP/2 on a connection that was found to do so. */
export function serveHttp2(connection: ServerConnection, limits: Http2Limits, serve: ServeStream): ServerHttp2Session {
  const { maxConcurrentStreams, streamWindowBytes, connectionWindowBytes, maxHeaderBytes } = limits;
  // node:http2 resets a stream with a larger head than it takes, without a word: it takes more, and what it took is
  // measured where requests are checked. That holds for callers, too, that have not yet heard of the limit.
  const maxHeaderListSize = Math.min(answeredUpTo * maxHeaderBytes, longestListBytes);
  // The server of node:http accepts half-open connections. A caller of HTTP/2 that closes its side is gone, and with
  // half of the connection left open its streams would never be told.
  connection.socket.allowHalfOpen = false;
  const session = http2.performServerHandshake(connection.socket, {
    maxHeaderListPairs: Math.ceil(maxHeaderListSize / fieldOverheadBytes),
    // Megabytes that node:http2 may hold for a session; streams beyond it are refused.
    maxSessionMemory: Math.ceil((2 * connectionWindowBytes) / 1_000_000) + 10,
    settings: { maxConcurrentStreams, initialWindowSize: streamWindowBytes, maxHeaderListSize },
  });
  connection.becomes(session);
  // The caller sees its streams or its connection end; there is nothing more to do about it.
  session.on("error", ignoreError);
  session.setLocalWindowSize(connectionWindowBytes);
  const onStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw: unknown): void => {
    if (stream.destroyed || session.destroyed) stream.on("error", ignoreError);
    else serve(stream, headers, raw as string[]);
  };
  session.on("stream", onStream as (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number) => void);
  return session;
}
