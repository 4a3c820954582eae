import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type ServerHttp2Session, type ServerHttp2Stream, type Settings } from "node:http2";
import type { Socket } from "node:net";
import { resetStream } from "../../../src/http/reset-stream.js";
import type { Version } from "../../support/http-server.js";
import { startHttp1Provider, startHttp2Provider, type TestProvider } from "../../support/router-host.js";

/** One call as a provider of either version sees it. */
export interface Served {
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: IncomingMessage | ServerHttp2Stream;
  /** The trailers of the request, once its body has ended. */
  trailers(): Readonly<Record<string, unknown>>;
  respond(status: number, headers?: Record<string, string>): void;
  /** A head that is the whole answer. */
  respondOnly(status: number, headers?: Record<string, string>): void;
  write(chunk: string | Buffer): boolean;
  onDrain(more: () => void): void;
  end(trailers?: Record<string, string>): void;
  /** Breaks this call off without an end: by a reset over HTTP/2, by closing over HTTP/1.1. */
  die(): void;
  /** Breaks the connection off. */
  crash(): void;
  /** Resolves when the call is over for the provider, whole or not. */
  readonly over: Promise<void>;
  /** Whether the request has come to its end as a whole. */
  readonly looksComplete: () => boolean;
  /** Over HTTP/2 only. */
  readonly stream: ServerHttp2Stream;
  readonly session: ServerHttp2Session;
}

export type Serve = (served: Served) => void;

/** A provider that counts the calls it is at. */
export interface MatrixProvider extends TestProvider {
  readonly openCalls: () => number;
  /** Resolves when no call is open. */
  whenIdle(): Promise<void>;
}

class Count {
  #count = 0;
  readonly #waiting: (() => void)[] = [];

  get now(): number {
    return this.#count;
  }

  up(): void {
    this.#count++;
  }

  down(): void {
    if (--this.#count === 0) for (const wake of this.#waiting.splice(0)) wake();
  }

  whenZero(): Promise<void> {
    return new Promise((resolve) => (this.#count === 0 ? resolve() : this.#waiting.push(resolve)));
  }
}

function servedByHttp1(request: IncomingMessage, response: ServerResponse): Served {
  const fail = (): never => {
    throw new TypeError("HTTP/1.1 has no streams");
  };
  const { socket } = request;
  request.on("error", () => {});
  return {
    path: request.url ?? "",
    method: request.method ?? "",
    headers: request.headers,
    body: request,
    trailers: () => request.trailers,
    respond: (status, headers = {}) => void response.writeHead(status, headers).flushHeaders(),
    respondOnly: (status, headers = {}) => void response.writeHead(status, { ...headers, "content-length": "0" }).end(),
    write: (chunk) => response.write(chunk),
    onDrain: (more) => void response.once("drain", more),
    end: (trailers) => {
      if (trailers !== undefined) response.addTrailers(trailers);
      response.end();
    },
    die: () => void socket.destroy(),
    crash: () => void socket.resetAndDestroy(),
    over: new Promise((resolve) => response.once("close", resolve)),
    looksComplete: () => request.complete,
    get stream() {
      return fail();
    },
    get session() {
      return fail();
    },
  };
}

function servedByHttp2(stream: ServerHttp2Stream, headers: Record<string, unknown>): Served {
  let trailers: Record<string, unknown> = {};
  let answerTrailers: Record<string, string> = {};
  let ended = stream.endAfterHeaders;
  const session = stream.session as ServerHttp2Session;
  const { socket } = session;
  stream.on("trailers", (fields) => {
    trailers = { ...fields };
  });
  stream.on("end", () => {
    // A reset stream ends for its reader too; only the code tells.
    if (stream.rstCode === 0 && !stream.aborted) ended = true;
  });
  return {
    path: String(headers[":path"]),
    method: String(headers[":method"]),
    headers,
    body: stream,
    trailers: () => trailers,
    respond: (status, fields = {}) => {
      // Node sends a clean end before a reset, unless it is held back for trailers.
      stream.respond({ ":status": status, ...fields }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers(answerTrailers));
    },
    respondOnly: (status, fields = {}) => stream.respond({ ":status": status, ...fields }, { endStream: true }),
    write: (chunk) => stream.write(chunk),
    onDrain: (more) => void stream.once("drain", more),
    end: (fields = {}) => {
      answerTrailers = fields;
      stream.end();
    },
    die: () => resetStream(stream, constants.NGHTTP2_INTERNAL_ERROR),
    crash: () => void (socket as Socket).resetAndDestroy(),
    over: new Promise((resolve) => stream.once("close", () => resolve())),
    looksComplete: () => ended,
    stream,
    session,
  };
}

/** Starts a provider that serves `/ping` by itself, and everything else as it is told. */
export async function startProvider(version: Version, serve: Serve, settings: Settings = {}): Promise<MatrixProvider> {
  const calls = new Count();
  const take = (served: Served): void => {
    calls.up();
    void served.over.then(() => calls.down());
    if (served.path !== "/ping") return serve(served);
    served.body.resume();
    served.respond(200);
    served.write("pong");
    served.end();
  };
  const provider = await (version === "2"
    ? startHttp2Provider((stream, headers) => take(servedByHttp2(stream, headers)), settings)
    : startHttp1Provider((request, response) => take(servedByHttp1(request, response))));
  return { ...provider, openCalls: () => calls.now, whenIdle: () => calls.whenZero() };
}
