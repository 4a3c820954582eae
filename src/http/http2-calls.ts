import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";
import type { Duplex } from "node:stream";
import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientResponse } from "@connectrpc/connect/protocol";
import { ignoreError } from "./base-exchange.js";
import type { ClientCall } from "./http-client.js";
import { watchPeerEnd } from "./peer-end.js";
import { bodyError, pour } from "./request-body.js";
import { resetStream } from "./reset-stream.js";

/** Where the calls go. */
export interface Http2CallsOptions {
  /** `http://host:port` or `https://host:port`. */
  readonly origin: string;
  /** Opens a connection where it is not TCP to `origin`. */
  readonly connect?: (() => Duplex) | undefined;
  /** Authorities that its certificate may come from. @default those that Node trusts */
  readonly ca?: readonly string[] | undefined;
}

/**
 * Calls over one HTTP/2 session, opened by the first call and replaced when it ends or is told to go away. The session does
 * not keep the process alive while it has no call.
 */
export class Http2Calls {
  readonly #options: Http2CallsOptions;
  readonly #calls = new WeakMap<ClientHttp2Session, number>();
  #session: ClientHttp2Session | undefined;

  constructor(options: Http2CallsOptions) {
    this.#options = options;
  }

  /** Rejects with a ConnectError: `unavailable`, what the call's own body throws, or the reason of its signal. */
  send(call: ClientCall, path: string): Promise<UniversalClientResponse> {
    const { signal } = call;
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) throw ConnectError.from(signal.reason, Code.Canceled);
      const headers: OutgoingHttpHeaders = { ":method": call.method, ":path": path };
      call.header.forEach((value, name) => {
        headers[name] = value;
      });
      const session = this.#open();
      const hasBody = call.body !== undefined;
      // A reset of node's ends the request first: without trailers to wait for, the server would see that end, and take a
      // request that was given up for a complete one.
      const stream = session.request(headers, { endStream: !hasBody, waitForTrailers: hasBody });
      const isCutOff = watchPeerEnd(stream);
      if (hasBody) stream.on("wantTrailers", () => endUnlessReset(stream, signal));
      this.#begin(session);
      const abort = (): void => resetStream(stream, constants.NGHTTP2_CANCEL);
      // What the one who gives the body has thrown: then it was nobody else who ended the call.
      let thrown: ConnectError | undefined;
      const why = (): ConnectError => thrown ?? brokenOff(stream, signal);
      signal?.addEventListener("abort", abort, { once: true });
      stream.once("close", () => {
        signal?.removeEventListener("abort", abort);
        this.#end(session);
        reject(why());
      });
      // Told by `close` as well, with the reason.
      stream.on("error", ignoreError);
      const trailer = new Headers();
      stream.on("trailers", (fields) => append(trailer, fields));
      stream.once("response", (fields) => {
        const header = new Headers();
        append(header, fields);
        resolve({ status: Number(fields[":status"]), header, body: read(stream, isCutOff, signal, why), trailer });
      });
      if (call.body === undefined) return;
      const isOver = (): boolean => stream.destroyed || stream.closed || signal?.aborted === true;
      // Connect ends the messages of a call that is given up. The reset must not find a complete request before it.
      void pour(call.body, stream, isOver).then(
        (isWhole) => isWhole && stream.end(),
        (error: unknown) => {
          thrown = bodyError(error, signal);
          reject(thrown);
          abort();
        },
      );
    });
  }

  /** Ends the session and the calls on it. */
  close(): void {
    this.#session?.destroy();
    this.#session = undefined;
  }

  /** A session keeps the process alive exactly as long as it has calls. */
  #begin(session: ClientHttp2Session): void {
    const calls = (this.#calls.get(session) ?? 0) + 1;
    this.#calls.set(session, calls);
    if (calls === 1 && !session.destroyed) session.ref();
  }

  #end(session: ClientHttp2Session): void {
    const calls = (this.#calls.get(session) ?? 1) - 1;
    this.#calls.set(session, calls);
    if (calls === 0 && !session.destroyed) session.unref();
  }

  #open(): ClientHttp2Session {
    const current = this.#session;
    if (current !== undefined && !current.closed && !current.destroyed) return current;
    const { origin, connect, ca } = this.#options;
    const session = http2.connect(origin, {
      ...(connect === undefined ? undefined : { createConnection: connect }),
      ...(ca === undefined ? undefined : { ca: [...ca] }),
    });
    this.#session = session;
    const forget = (): void => {
      if (this.#session === session) this.#session = undefined;
    };
    // For good: an error may come long after the last call, and without a listener it would end the process.
    session.on("error", forget);
    session.once("close", forget);
    session.once("goaway", () => {
      forget();
      // Calls that are on it may end; Node ends the session after them.
      if (!session.destroyed) session.close();
    });
    session.unref();
    return session;
  }
}

function append(headers: Headers, fields: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(fields)) {
    if (name.startsWith(":") || value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) headers.append(name, String(one));
  }
}

function brokenOff(stream: ClientHttp2Stream, signal: AbortSignal | undefined): ConnectError {
  if (signal?.aborted === true) return ConnectError.from(signal.reason, Code.Canceled);
  const code = stream.rstCode ?? constants.NGHTTP2_NO_ERROR;
  if (code === constants.NGHTTP2_CANCEL) return new ConnectError("the host ended the call", Code.Canceled);
  return new ConnectError(`the connection to the host broke (HTTP/2 code ${code})`, Code.Unavailable);
}

async function* read(
  stream: ClientHttp2Stream,
  isCutOff: () => boolean,
  signal: AbortSignal | undefined,
  why: () => ConnectError,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
  } catch {
    throw why();
  }
  const wasReset = stream.rstCode !== constants.NGHTTP2_NO_ERROR || isCutOff();
  if (signal?.aborted === true || wasReset) throw why();
}

function endUnlessReset(stream: ClientHttp2Stream, signal: AbortSignal | undefined): void {
  if (stream.destroyed || stream.closed || signal?.aborted === true) return;
  stream.sendTrailers({});
}
