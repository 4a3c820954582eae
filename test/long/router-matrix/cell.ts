import { subscribe, unsubscribe } from "node:diagnostics_channel";
import http from "node:http";
import type { ClientHttp2Session, Settings } from "node:http2";
import type { Socket } from "node:net";
import { expect } from "vitest";
import type { InFlight } from "../../../src/internal/in-flight.js";
import type { CallEvent } from "../../../src/model/call-event.js";
import type { RouterOptions } from "../../../src/router/options.js";
import { type Call, callOn, connectHttp2, startCall, type TestServer, within } from "../../support/http-server.js";
import { pluginRecord, type RouterHost, startRouter } from "../../support/router-host.js";
import { type Cell, contentTypes, type Seen, seenBy } from "./kinds.js";
import { type MatrixProvider, type Serve, startProvider } from "./provider.js";

/** How long anything may take here; far more than it does on a machine that has other things to do too. */
export const patienceMs = 5_000;

export type CallUnderWay = Omit<Call, typeof Symbol.dispose>;

export interface CallAs {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly trailers?: Record<string, string>;
}

/** The connection of one caller: calls one after the other over HTTP/1.1, together over HTTP/2. */
export interface Caller {
  start(call?: CallAs): CallUnderWay;
  /** How many connections the calls have taken so far. */
  readonly connections: () => number;
  /** Over HTTP/2 only. */
  readonly session: ClientHttp2Session;
  close(): void;
}

export const anyPath = "/services/logger/any/x";

function openCaller(server: TestServer, cell: Cell): Caller {
  let connections = 0;
  const counted: TestServer = {
    ...server,
    connect: (way) => {
      connections++;
      return server.connect(way);
    },
  };
  const fieldsOf = (headers: Record<string, string> = {}) => ({ "content-type": contentTypes[cell.kind], ...headers });
  if (cell.in === "2") {
    let session = connectHttp2(counted);
    return {
      start: ({ path = anyPath, method = "POST", headers, trailers = {} } = {}) => {
        if (session.destroyed || session.closed) session = connectHttp2(counted);
        return callOn(session, { ":path": path, ":method": method, ...fieldsOf(headers) }, trailers);
      },
      connections: () => connections,
      get session() {
        return session;
      },
      close: () => session.destroy(),
    };
  }
  const agent = new http.Agent({ keepAlive: true });
  Object.assign(agent, { createConnection: () => counted.connect("tcp") });
  return {
    start: ({ path = anyPath, method = "POST", headers, trailers } = {}) => {
      const call = startCall(counted, "1.1", { path, method, headers: fieldsOf(headers), agent });
      if (trailers !== undefined) (call.request as http.ClientRequest).addTrailers(trailers);
      return call;
    },
    connections: () => connections,
    get session(): never {
      throw new TypeError("HTTP/1.1 has no sessions");
    },
    close: () => agent.destroy(),
  };
}

export interface OpenCell {
  readonly cell: Cell;
  readonly provider: MatrixProvider;
  readonly host: RouterHost;
  readonly inFlight: InFlight;
  readonly caller: Caller;
  /** Follows a call of the cell's kind to its end. */
  seen(call: CallUnderWay): Promise<Seen>;
  /** The account of the `count`-th call that has ended. */
  event(count?: number): Promise<CallEvent>;
  /** Another call of the same caller to the same provider is served as ever. */
  stillServes(): Promise<void>;
}

export interface CellOptions {
  readonly router?: RouterOptions;
  readonly settings?: Settings;
  /** Milliseconds that the connections of callers get to close by themselves in the end. Zero if one has vanished. */
  readonly graceMs?: number;
  /** What the caller connects to, if not the host itself. */
  readonly front?: (host: RouterHost) => Promise<TestServer & AsyncDisposable>;
  /** The port that the host connects to, if not the provider's. */
  readonly back?: (provider: MatrixProvider) => Promise<{ readonly port: number } & AsyncDisposable>;
}

/** Keeps account of the connections that are made to one port. */
function socketsTo(port: number) {
  const sockets: { readonly socket: Socket; readonly closed: Promise<void> }[] = [];
  const note = (event: unknown): void => {
    const { socket } = event as { readonly socket: Socket };
    sockets.push({ socket, closed: new Promise((resolve) => socket.once("close", () => resolve())) });
  };
  subscribe("net.client.socket", note);
  return {
    async whenClosed(): Promise<void> {
      await Promise.all(sockets.filter(({ socket }) => socket.remotePort === port).map(({ closed }) => closed));
    },
    [Symbol.dispose]: () => void unsubscribe("net.client.socket", note),
  };
}

/** Plays one situation in one cell: provider, host and caller are there before, and nothing of them afterwards. */
export async function inCell(
  cell: Cell,
  serve: Serve,
  play: (open: OpenCell) => Promise<void>,
  options: CellOptions = {},
): Promise<void> {
  await using provider = await startProvider(cell.out, serve, options.settings);
  await using back = await options.back?.(provider);
  await using host = await startRouter(options.router);
  const port = back?.port ?? provider.port;
  const url = `http://127.0.0.1:${port}`;
  using sockets = socketsTo(port);
  const address = { kind: "http", url, protocols: [cell.out === "2" ? "h2c" : "h1"] } as const;
  const { inFlight } = host.view.add(pluginRecord({ address }));
  await using front = await options.front?.(host);
  const caller = openCaller(front ?? host, cell);
  const open: OpenCell = {
    cell,
    provider,
    host,
    inFlight,
    caller,
    seen: (call) => within(patienceMs, "the end of a call", seenBy(call, cell.kind)),
    event: (count = 1) => within(patienceMs, "the event", host.event(count)),
    async stillServes() {
      const call = caller.start({ path: "/services/logger/any/ping", headers: { "content-type": "text/plain" } });
      call.request.end();
      expect(await within(patienceMs, "another call", seenBy(call, "http"))).toMatchObject({ texts: ["pong"] });
    },
  };
  try {
    await play(open);
    if (options.graceMs === undefined) await open.stillServes();
    await within(patienceMs, "the end of all calls", inFlight.whenIdle());
    expect(inFlight.count).toBe(0);
    if (options.back === undefined) await within(patienceMs, "the provider's end of all calls", provider.whenIdle());
  } finally {
    caller.close();
  }
  host.router.close();
  await within(patienceMs, "callers' connections", host.server.close({ graceMs: options.graceMs ?? 60_000 }));
  await within(patienceMs, "the host's connections to providers", sockets.whenClosed());
  if (options.back === undefined) {
    await within(patienceMs, "providers' connections", provider.whenDisconnected());
  }
  expect(host.server.openExchanges).toBe(0);
  expect(host.errors).toEqual([]);
}
