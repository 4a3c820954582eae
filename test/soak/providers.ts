import http, { type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import http2, { type Http2ServerRequest, type Http2ServerResponse, type Http2Session } from "node:http2";
import type net from "node:net";
import type { AddressInfo } from "node:net";
import { definePlugin } from "../../src/plugin/index.js";
import { within } from "../support/http-server.js";

const chunk = Buffer.alloc(64 * 1024, 0x61);

/** Lets a caller wait until a provider has got as far with its call as the caller wants. */
export class Sightings {
  readonly #waiting = new Map<string, () => void>();

  wait(id: string): Promise<void> {
    const seen = new Promise<void>((resolve) => this.#waiting.set(id, resolve));
    return within(20_000, `call ${id}`, seen).finally(() => this.#waiting.delete(id));
  }

  tell(id: string): void {
    this.#waiting.get(id)?.();
  }
}

type Req = IncomingMessage | Http2ServerRequest;
type Res = (ServerResponse | Http2ServerResponse) & NodeJS.WritableStream;

/** A provider that does well or badly, as the path of a call asks. */
function behave(sightings: Sightings): RequestListener {
  return (req, res) => serve(req as Req, res as Res, sightings);
}

function serve(req: Req, res: Res, sightings: Sightings): void {
  const { pathname, searchParams } = new URL(req.url ?? "/", "http://provider");
  const id = searchParams.get("id") ?? "";
  req.on("error", () => {});
  res.on("error", () => {});
  switch (pathname) {
    case "/echo":
      req.pipe(res);
      return;
    case "/silent":
      req.resume();
      sightings.tell(id);
      return;
    case "/half":
    case "/breaks":
      req.resume();
      res.writeHead(200, { "content-length": "1000" });
      res.write("x".repeat(500), () => {
        sightings.tell(id);
        if (pathname === "/breaks") breakOff(req, res);
      });
      return;
    case "/refused":
      refuse(req, res);
      return;
    case "/goodbye":
      req.resume();
      sayGoodbye(res);
      res.end("goodbye");
      return;
    case "/dies":
      breakOff(req, res);
      return;
    case "/deaf":
      // Not read for a while, so that what its caller sends is held back. Later it is: Node sees no end of a connection
      // that it does not read.
      req.pause();
      sightings.tell(id);
      setTimeout(() => req.resume(), 50);
      return;
    case "/early":
      res.end("early");
      return;
    case "/endless":
      req.resume();
      flood(res, () => sightings.tell(id));
      return;
    default:
      req.resume();
      res.statusCode = 404;
      res.end();
  }
}

function breakOff(req: Req, res: Res): void {
  if ("stream" in res && res.stream !== undefined) res.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  else req.socket.destroy();
}

/** Says that nobody has looked at this call; over HTTP/1.1 the next best thing, a lost connection. */
function refuse(req: Req, res: Res): void {
  if ("stream" in res && res.stream !== undefined) res.stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
  else req.socket.destroy();
}

/** Says that this connection takes no more calls. */
function sayGoodbye(res: Res): void {
  if ("stream" in res && res.stream !== undefined) res.stream.session?.close();
  else res.setHeader("connection", "close");
}

/** Writes for as long as somebody reads; tells once when nobody did for the first time. */
function flood(res: Res, stalled: () => void): void {
  let isGone = false;
  res.on("close", () => {
    isGone = true;
  });
  const write = (): void => {
    // Not for ever in one turn: who went away is seen in the next one only.
    for (let count = 0; count < 64; count++) {
      if (isGone) return;
      if (!res.write(chunk)) return stalled();
    }
    setImmediate(write);
  };
  res.on("drain", write);
  write();
}

/** A program that a host can call. */
export interface SoakProvider {
  readonly url: string;
  readonly sockets: () => number;
  /** Ends every connection at once. */
  cut(): void;
  close(): Promise<void>;
}

async function open(server: net.Server, sessions = new Set<Http2Session>()): Promise<SoakProvider> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const session of sessions) session.destroy();
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sockets: () => sockets.size,
    cut,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}

export const openHttp1 = (sightings: Sightings): Promise<SoakProvider> =>
  open(http.createServer({ requestTimeout: 0 }, behave(sightings)));

export function openHttp2(sightings: Sightings): Promise<SoakProvider> {
  const sessions = new Set<Http2Session>();
  const server = http2.createServer({}, behave(sightings) as never);
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {});
    session.once("close", () => sessions.delete(session));
  });
  return open(server as never, sessions);
}

/** The same as a module in the host's process. */
export const soakModule = (id: string, type: string, sightings: Sightings, version = "1.0.0") =>
  definePlugin({
    id,
    version,
    provides: { [type]: { handler: "node" } },
    setup: () => ({ [type]: behave(sightings) }) as never,
  });
