import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientRequest, UniversalClientResponse } from "@connectrpc/connect/protocol";
import { Http2Calls } from "./http2-calls.js";
import { bodyError, pour } from "./request-body.js";

/** How the bytes of a call travel. */
export type CallShape =
  /** The request is one message: collected, and sent in one piece with its length. */
  | "whole"
  /** The request or the answer is a stream, in one direction at a time. */
  | "streamed"
  /** Both sides send at the same time, which needs HTTP/2. */
  | "duplex";

/** A call to a path of a server. */
export interface ClientCall extends Omit<UniversalClientRequest, "url"> {
  /** Path and query, without the server's prefix. */
  readonly path: string;
  readonly shape: CallShape;
}

/** Where a server is. */
export interface ServerAddress {
  /** `http://host:port`, never with a slash at the end. */
  readonly origin: string;
  /** Goes in front of every path; empty if there is none. */
  readonly prefix: string;
  /** Opens a connection where it is not TCP to `origin`. */
  readonly connect: (() => Duplex) | undefined;
  /** Whether `connect` stays inside this process: HTTP/1.1 carries everything then. */
  readonly inMemory: boolean;
  /** Authorities that its certificate may come from. @default those that Node trusts */
  readonly ca?: readonly string[] | undefined;
}

/**
 * The connections to one server: HTTP/1.1 kept alive for almost all, HTTP/2 cleartext for streams in both
 * directions. Opens nothing before the first call.
 */
export class HttpClient {
  readonly #address: ServerAddress;
  readonly #agent: HttpAgent;
  readonly #http2: Http2Calls;
  #closed = false;

  constructor(address: ServerAddress) {
    this.#address = address;
    this.#http2 = new Http2Calls(address);
    // Servers commonly close idle connections after 5 s; a call sent just then is lost, so ours close before.
    const options = { keepAlive: true, timeout: 4_000 };
    const { connect, ca } = address;
    this.#agent = address.origin.startsWith("https:")
      ? new HttpsAgent(ca === undefined ? options : { ...options, ca: [...ca] })
      : new HttpAgent(options);
    if (connect !== undefined) Object.assign(this.#agent, { createConnection: () => asSocket(connect()) });
  }

  /**
   * Sends one call. Rejects with a ConnectError: `unavailable` if the server cannot be reached, what the request's own body
   * throws, or the reason of the request's signal.
   */
  send(request: ClientCall): Promise<UniversalClientResponse> {
    if (this.#closed) return Promise.reject(new ConnectError("this client is closed", Code.Unavailable));
    if (request.shape === "duplex" && !this.#address.inMemory)
      return this.#http2.send(request, this.#address.prefix + request.path);
    return this.#sendHttp1(request);
  }

  /** Ends all connections and the calls on them. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#agent.destroy();
    this.#http2.close();
  }

  async #sendHttp1(request: ClientCall): Promise<UniversalClientResponse> {
    const { signal } = request;
    const body = request.shape === "whole" ? await collect(request.body) : request.body;
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const { origin, prefix } = this.#address;
      const url = new URL(origin);
      const call = (url.protocol === "https:" ? httpsRequest : httpRequest)({
        agent: this.#agent,
        hostname: url.hostname.replace(/^\[|\]$/g, ""),
        port: url.port,
        path: prefix + request.path,
        method: request.method,
        headers: Object.fromEntries(request.header),
      });
      // Without an error: node:http would hand it to the socket, and just after an answer's end nobody listens there. The
      // request's own error is translated below, by the signal.
      const abort = (): void => void call.destroy();
      // What the one who gives the body has thrown: then it was not the connection that failed.
      let thrown: ConnectError | undefined;
      const why = (error: unknown): ConnectError => thrown ?? toConnectError(error, signal);
      signal?.addEventListener("abort", abort, { once: true });
      // Later errors belong to the body, whose reader sees them; the listener stays so that they end nobody else.
      call.on("error", (error) => reject(why(error)));
      call.once("close", () => signal?.removeEventListener("abort", abort));
      call.once("response", (response) => {
        // The same for the answer: its reader may not have begun, or may have had enough.
        response.on("error", () => {});
        // Whoever has answered as a whole wants nothing more of the request. Its connection cannot be used again: nobody could
        // tell where that request ends.
        response.once("end", () => {
          if (!call.writableEnded) call.destroy();
        });
        resolve(toResponse(response, why));
      });
      // Node sends head and bytes together then, with the length.
      if (body === undefined || body instanceof Uint8Array) call.end(body);
      else {
        // The other side may speak first.
        if (request.shape === "duplex") call.flushHeaders();
        const ended = pour(body, call, () => call.destroyed);
        void ended.then(
          (isWhole) => isWhole && call.end(),
          (error: unknown) => {
            thrown = bodyError(error, signal);
            reject(thrown);
            call.destroy();
          },
        );
      }
    });
  }
}

function toResponse(response: IncomingMessage, why: (error: unknown) => ConnectError): UniversalClientResponse {
  const header = new Headers();
  for (const [name, values] of Object.entries(response.headersDistinct)) {
    for (const value of values ?? []) header.append(name, value);
  }
  const trailer = new Headers();
  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response) yield chunk as Uint8Array;
    } catch (error) {
      throw why(error);
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

function toConnectError(error: unknown, signal: AbortSignal | undefined): ConnectError {
  if (error instanceof ConnectError) return error;
  if (signal?.aborted === true) return ConnectError.from(signal.reason, Code.Canceled);
  const message = error instanceof Error ? error.message : String(error);
  return new ConnectError(`the server cannot be reached: ${message}`, Code.Unavailable, undefined, undefined, error);
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
