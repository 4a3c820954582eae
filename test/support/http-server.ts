import { once } from "node:events";
import http, { type IncomingHttpHeaders } from "node:http";
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from "node:http2";
import net, { type AddressInfo, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connectInMemory } from "../../src/http/memory-connection.js";
import { createOnePortServer, type OnePortServer, type OnePortServerOptions } from "../../src/http/one-port-server.js";
import { resetStream } from "../../src/http/reset-stream.js";

/** A server on a free port, with what a test needs to reach it and to see what went wrong in it. */
export interface TestServer extends AsyncDisposable {
  readonly server: OnePortServer;
  readonly port: number;
  readonly url: string;
  readonly errors: unknown[];
  /** A connection, over TCP or in memory. */
  connect(way: Way): Duplex;
}

export type Way = "tcp" | "memory";

export async function startServer(options: OnePortServerOptions): Promise<TestServer> {
  const errors: unknown[] = [];
  const server = createOnePortServer({ onError: (error) => errors.push(error), ...options });
  await server.listen({ port: 0 });
  const { port } = server.address() as AddressInfo;
  return {
    server,
    port,
    url: `http://127.0.0.1:${port}`,
    errors,
    connect(way) {
      if (way === "tcp") return net.connect(port, "127.0.0.1");
      const [mine, its] = connectInMemory();
      server.accept(its, { transport: "memory" });
      return mine;
    },
    async [Symbol.asyncDispose]() {
      await server.close({ graceMs: 0 });
    },
  };
}

/** What a caller of either HTTP version has seen of an answer. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly trailers: Record<string, unknown>;
}

/** A request under way, the same for both HTTP versions. */
export interface Call extends Disposable {
  readonly request: http.ClientRequest | ClientHttp2Stream;
  /** The answer's head. */
  readonly head: Promise<{
    readonly status: number;
    readonly headers: IncomingHttpHeaders;
    readonly body: Duplex | http.IncomingMessage;
  }>;
  /** The whole answer; rejects if it breaks off. */
  answer(): Promise<Answer>;
  /** Hangs up. */
  leave(): void;
}

export type Version = "1.1" | "2";

export interface CallOptions {
  readonly way?: Way;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  /** For calls one after the other on one connection over HTTP/1.1. */
  readonly agent?: http.Agent;
}

export function startCall(server: TestServer, version: Version, options: CallOptions = {}): Call {
  return version === "2" ? startHttp2Call(server, options) : startHttp1Call(server, options);
}

function startHttp1Call(
  server: TestServer,
  { way = "tcp", path = "/", method = "POST", headers = {}, agent }: CallOptions,
): Call {
  const own = agent ?? agentOf(server, way);
  const request = http.request({ host: "127.0.0.1", port: server.port, path, method, headers, agent: own });
  request.on("error", () => {});
  const head = Promise.race([
    new Promise<http.IncomingMessage>((resolve) => request.once("response", resolve)),
    once(request, "close").then(() => Promise.reject(new Error("the connection ended without an answer"))),
  ]);
  return {
    request,
    head: handled(
      head.then((response) => ({ status: response.statusCode ?? 0, headers: response.headers, body: response })),
    ),
    async answer() {
      const response = await head;
      const text = await textOf(response);
      return { status: response.statusCode ?? 0, headers: response.headers, text, trailers: response.trailers };
    },
    leave: () => void request.destroy(),
    [Symbol.dispose]() {
      request.destroy();
      if (agent === undefined) own.destroy();
    },
  };
}

/** Keeps one connection and uses it again. */
export function agentOf(server: TestServer, way: Way = "tcp"): http.Agent {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  return Object.assign(agent, { createConnection: () => server.connect(way) as Socket });
}

export function connectHttp2(server: TestServer, way: Way = "tcp"): ClientHttp2Session {
  const session = http2.connect(server.url, { createConnection: () => server.connect(way) });
  session.on("error", () => {});
  return session;
}

function startHttp2Call(server: TestServer, { way, path = "/", method = "POST", headers = {} }: CallOptions): Call {
  const session = connectHttp2(server, way);
  const call = callOn(session, { ":path": path, ":method": method, ...headers });
  return {
    ...call,
    [Symbol.dispose]: () => session.destroy(),
  };
}

/**
 * A call on a session that a test made. With trailers, even none, a call that is broken off never looks complete: node:http2
 * would end its stream before it resets it.
 */
export function callOn(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  requestTrailers?: Record<string, string>,
): Omit<Call, typeof Symbol.dispose> {
  const endStream = headers[":method"] === "GET" || headers[":method"] === "HEAD";
  const request = session.request(headers, { endStream, waitForTrailers: requestTrailers !== undefined });
  request.on("wantTrailers", () => request.sendTrailers(requestTrailers ?? {}));
  request.on("error", () => {});
  const closed = new Promise((resolve) => request.once("close", resolve));
  let trailers: Record<string, unknown> = {};
  request.on("trailers", (fields) => {
    trailers = { ...fields };
  });
  const head = Promise.race([
    new Promise<IncomingHttpHeaders & { ":status"?: number }>((resolve) => request.once("response", resolve)),
    once(request, "close").then(() => Promise.reject(new Error("the stream ended without an answer"))),
  ]);
  return {
    request,
    head: handled(head.then((fields) => ({ status: fields[":status"] ?? 0, headers: fields, body: request }))),
    async answer() {
      const fields = await head;
      const text = await textOf(request, closed);
      return { status: fields[":status"] ?? 0, headers: fields, text, trailers };
    },
    leave: () => resetStream(request, http2.constants.NGHTTP2_CANCEL),
  };
}

/** A promise whose rejection may go unseen: not every test waits for every part of its call. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

async function textOf(body: Duplex | http.IncomingMessage, closed?: Promise<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  body.on("data", (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve, reject) => {
    body.once("error", reject);
    if (closed === undefined) {
      body.once("aborted", () => reject(new Error("the answer was cut off")));
      body.once("end", resolve);
      if (body.destroyed && !body.readableEnded) reject(new Error("the answer was cut off"));
      return;
    }
    // `end` comes for a reset stream too, so that only `close` tells.
    void closed.then(() => {
      const code = (body as ClientHttp2Stream).rstCode;
      if (code === 0) resolve();
      else reject(new Error(`the answer was cut off with code ${code}`));
    });
  });
  return Buffer.concat(chunks).toString("latin1");
}

/** Sends bytes as they are and returns everything that came back until the server closed the connection. */
export async function exchangeBytes(socket: Duplex, ...parts: readonly string[]): Promise<string> {
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  socket.on("end", () => socket.end());
  const closed = new Promise((resolve) => socket.once("close", resolve));
  for (const part of parts) socket.write(part, "latin1");
  await closed;
  return text;
}

/** A promise that is rejected if `promise` takes longer than it may. */
export async function within<T>(limitMs: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
