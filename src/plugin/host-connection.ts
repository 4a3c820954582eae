import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientFn, UniversalClientRequest, UniversalClientResponse } from "@connectrpc/connect/protocol";
import { createNodeHttpClient, Http2SessionManager } from "@connectrpc/connect-node";
import type { HostAddress } from "./host-address.js";

/** How the bytes of a call travel. */
export type CallShape =
  /** The request is one message: collected, and sent in one piece with its length. */
  | "whole"
  /** The request or the answer is a stream, in one direction at a time. */
  | "streamed"
  /** Both sides send at the same time, which needs HTTP/2. */
  | "duplex";

/** A call to a path of the host. */
export interface HostRequest extends Omit<UniversalClientRequest, "url"> {
  /** Path and query, without the host's prefix. */
  readonly path: string;
  readonly shape: CallShape;
}

/**
 * The connections of one plugin to its host: HTTP/1.1 kept alive for almost all, HTTP/2 cleartext for streams in both
 * directions. Opens nothing before the first call.
 */
export class HostConnection {
  readonly address: HostAddress;
  readonly #agent: HttpAgent;
  #http2: { readonly sessions: Http2SessionManager; readonly send: UniversalClientFn } | undefined;
  #closed = false;

  constructor(address: HostAddress) {
    this.address = address;
    // Servers commonly close idle connections after 5 s; a call sent just then is lost, so ours close before.
    const options = { keepAlive: true, timeout: 4_000 };
    this.#agent = address.origin.startsWith("https:") ? new HttpsAgent(options) : new HttpAgent(options);
    const { connect } = address;
    if (connect !== undefined) Object.assign(this.#agent, { createConnection: () => asSocket(connect()) });
  }

  /**
   * Sends one call. Rejects with a ConnectError: `unavailable` if the host cannot be reached, otherwise the reason of the
   * request's signal.
   */
  send(request: HostRequest): Promise<UniversalClientResponse> {
    if (this.#closed) return Promise.reject(new ConnectError("the plugin has left this host", Code.Unavailable));
    return request.shape === "duplex" ? this.#sendDuplex(request) : this.#sendHttp1(request);
  }

  /** Ends all connections and the calls on them. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#agent.destroy();
    this.#http2?.sessions.abort();
    this.#http2 = undefined;
  }

  #sendDuplex(request: HostRequest): Promise<UniversalClientResponse> {
    if (this.#http2 === undefined) {
      const { origin, connect } = this.address;
      const options = connect === undefined ? undefined : { createConnection: connect };
      const sessions = new Http2SessionManager(origin, undefined, options);
      this.#http2 = { sessions, send: createNodeHttpClient({ httpVersion: "2", sessionProvider: () => sessions }) };
    }
    const { path, shape: _, ...rest } = request;
    return this.#http2.send({ ...rest, url: `${this.address.origin}${this.address.prefix}${path}` });
  }

  async #sendHttp1(request: HostRequest): Promise<UniversalClientResponse> {
    const { signal } = request;
    const body = request.shape === "whole" ? await collect(request.body) : request.body;
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const { origin, prefix } = this.address;
      const url = new URL(origin);
      const call = (url.protocol === "https:" ? httpsRequest : httpRequest)({
        agent: this.#agent,
        hostname: url.hostname.replace(/^\[|\]$/g, ""),
        port: url.port,
        path: prefix + request.path,
        method: request.method,
        headers: Object.fromEntries(request.header),
      });
      const abort = (): void => void call.destroy(toConnectError(signal?.reason, signal));
      signal?.addEventListener("abort", abort, { once: true });
      // Later errors belong to the body, whose reader sees them; the listener stays so that they end nobody else.
      call.on("error", (error) => reject(toConnectError(error, signal)));
      call.once("close", () => signal?.removeEventListener("abort", abort));
      call.once("response", (response) => resolve(toResponse(response, signal)));
      // Node sends head and bytes together then, with the length.
      if (body === undefined || body instanceof Uint8Array) call.end(body);
      else void pour(body, call);
    });
  }
}

function toResponse(response: IncomingMessage, signal: AbortSignal | undefined): UniversalClientResponse {
  const header = new Headers();
  for (const [name, values] of Object.entries(response.headersDistinct)) {
    for (const value of values ?? []) header.append(name, value);
  }
  const trailer = new Headers();
  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response) yield chunk as Uint8Array;
    } catch (error) {
      throw toConnectError(error, signal);
    }
    for (const [name, values] of Object.entries(response.trailersDistinct)) {
      for (const value of values ?? []) trailer.append(name, value);
    }
  }
  return { status: response.statusCode ?? 0, header, body: read(), trailer };
}

async function collect(body: AsyncIterable<Uint8Array> | undefined): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body ?? []) chunks.push(chunk);
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}

async function pour(body: AsyncIterable<Uint8Array>, call: ClientRequest): Promise<void> {
  try {
    for await (const chunk of body) {
      if (call.destroyed) return;
      if (!call.write(chunk)) await roomOrEnd(call);
    }
    call.end();
  } catch (error) {
    call.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

function roomOrEnd(call: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off("drain", done).off("close", done);
      resolve();
    };
    call.on("drain", done).on("close", done);
  });
}

function toConnectError(error: unknown, signal: AbortSignal | undefined): ConnectError {
  if (error instanceof ConnectError) return error;
  if (signal?.aborted === true) return ConnectError.from(signal.reason, Code.Canceled);
  const message = error instanceof Error ? error.message : String(error);
  return new ConnectError(`the host cannot be reached: ${message}`, Code.Unavailable, undefined, undefined, error);
}

/** Gives a connection in memory the few methods of a socket that Node's HTTP agent calls. */
function asSocket(connection: Duplex): Duplex {
  if ("setKeepAlive" in connection) return connection;
  const itself = (): Duplex => connection;
  return Object.assign(connection, {
    setKeepAlive: itself,
    setNoDelay: itself,
    setTimeout: itself,
    ref: itself,
    unref: itself,
  });
}
