import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { connectInMemory } from "../../src/http/memory-connection.js";
import { type Clock, systemClock } from "../../src/internal/clock.js";
import { dialLink } from "../../src/link/dial-link.js";
import { callKind, closeCode, resetCode } from "../../src/link/frame.js";
import { acceptLink, linkPath, requestedLink } from "../../src/link/link-opening.js";
import { LinkSession } from "../../src/link/link-session.js";
import type { LinkCloseReason } from "../../src/link/link-session-options.js";
import type { LinkStream, LinkStreamHandler } from "../../src/link/link-stream.js";
import type { LinkTransport } from "../../src/link/link-transport.js";
import { SocketTransport } from "../../src/link/socket-transport.js";
import { manualClock } from "../support/manual-clock.js";

interface Ends {
  readonly dialler: LinkTransport;
  readonly acceptor: LinkTransport;
  readonly release: () => Promise<void>;
}

const headers = { "x-plugin-runtime-id": "me-1", authorization: "Bearer t" };
const dial = (
  url: string,
  more: {
    readonly headers?: Record<string, string>;
    readonly timeoutMs?: number;
    readonly signal?: AbortSignal;
    readonly clock?: Clock;
  } = {},
) => dialLink({ url, headers, timeoutMs: 5_000, clock: systemClock, ...more });

/** A server that takes links of `me-1` and refuses others. */
async function listen(at: { readonly path: string } | undefined) {
  const accepted: LinkTransport[] = [];
  let arrived: (transport: LinkTransport) => void = (transport) => void accepted.push(transport);
  const server: Server = createServer((_, answer) => void answer.writeHead(404).end());
  server.on("upgrade", (request, socket, head) => {
    const known = request.url === linkPath && requestedLink(request) !== undefined;
    if (known && request.headers.authorization === "Bearer t") {
      void acceptLink(request, socket, head).then(
        (transport) => arrived(transport),
        () => {},
      );
    } else {
      socket.end(`HTTP/1.1 ${known ? "401 Unauthorized" : "404 Not Found"}\r\nConnection: close\r\n\r\n`);
    }
  });
  await new Promise<void>(
    (resolve) => void (at === undefined ? server.listen(0, "127.0.0.1", resolve) : server.listen(at.path, resolve)),
  );
  return {
    url: at === undefined ? `http://127.0.0.1:${(server.address() as AddressInfo).port}` : `unix:${at.path}`,
    accept: () =>
      new Promise<LinkTransport>((resolve) => {
        const waiting = accepted.shift();
        if (waiting !== undefined) resolve(waiting);
        else arrived = resolve;
      }),
    close: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

async function overServer(at: { readonly path: string } | undefined): Promise<Ends> {
  const server = await listen(at);
  const [acceptor, dialler] = await Promise.all([server.accept(), dial(server.url)]);
  return { dialler, acceptor, release: server.close };
}

const transports: Readonly<Record<string, () => Promise<Ends>>> = {
  WebSocket: () => overServer(undefined),
  async "a Unix socket"() {
    const folder = mkdtempSync(join(tmpdir(), "link-"));
    const ends = await overServer({ path: join(folder, "s") });
    return { ...ends, release: () => ends.release().finally(() => rmSync(folder, { recursive: true })) };
  },
  async memory() {
    const [one, other] = connectInMemory();
    return { dialler: new SocketTransport(one), acceptor: new SocketTransport(other), release: async () => {} };
  },
};

const echo = (stream: LinkStream): LinkStreamHandler => ({
  onData(message) {
    if (stream.head.kind === callKind.unary) stream.end(undefined, message);
    else if (!stream.send(message)) return;
    stream.consume();
  },
  onDrain: () => stream.consume(),
  onEnd: () => stream.end(),
  onReset() {},
});

const withoutEnd: LinkStreamHandler = { onData() {}, onEnd() {}, onReset() {} };

async function sessions({ dialler, acceptor }: Omit<Ends, "release">, onCall = echo) {
  const closed: LinkCloseReason[] = [];
  const closing = new Map<LinkSession, Promise<LinkCloseReason>>();
  const make = async (role: "dialler" | "acceptor", transport: LinkTransport): Promise<LinkSession> => {
    let session: LinkSession | undefined;
    let end: (reason: LinkCloseReason) => void = () => {};
    const ended = new Promise<LinkCloseReason>((resolve) => {
      end = resolve;
    });
    await new Promise<void>((onReady, reject) => {
      const onClose = (reason: LinkCloseReason): void => {
        closed.push(reason);
        end(reason);
        reject(new Error(reason.message));
      };
      session = new LinkSession(transport, { role, clock: systemClock, onCall, onReady, onClose, onError: reject });
    });
    closing.set(session as LinkSession, ended);
    return session as LinkSession;
  };
  const [caller, taker] = await Promise.all([make("dialler", dialler), make("acceptor", acceptor)]);
  return { caller, taker, closed, ended: (session: LinkSession) => closing.get(session) as Promise<LinkCloseReason> };
}

const head = (kind: 0 | 3 = callKind.unary) => ({ kind, path: "/e", deadlineMs: 20_000, fields: ["x-a", "1"] });

/** The answer to one message, or the code of a reset. */
const call = (session: LinkSession, message: Uint8Array): Promise<Uint8Array | number> =>
  new Promise((resolve) => {
    const stream = session.open(
      head(),
      {
        onData(bytes) {
          resolve(Uint8Array.from(bytes));
          stream.consume();
        },
        onEnd() {},
        onReset: (code) => resolve(code),
      },
      message,
      true,
    );
  });

describe.each(Object.keys(transports))("over %s", (name) => {
  const open = transports[name] as () => Promise<Ends>;

  test("calls go both ways, small and large, many at a time", async () => {
    const ends = await open();
    const { caller, taker, ended } = await sessions(ends);
    const sizes = [0, 1, 16_384, 16_385, 65_536, 1_000_000];
    const messages = sizes.map((size) => Uint8Array.from({ length: size }, (_, index) => index * 7));
    for (const session of [caller, taker]) {
      const answers = await Promise.all(messages.map((message) => call(session, message)));
      expect(
        answers.every((answer, index) => Buffer.compare(answer as Uint8Array, messages[index] as Uint8Array) === 0),
      ).toBe(true);
    }
    caller.close();
    expect((await ended(taker)).code).toBe(closeCode.lost);
    await ends.release();
  });

  test("thousands of random calls, cancels and streams leave nothing behind", async () => {
    const ends = await open();
    const { caller, taker, ended } = await sessions(ends);
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    const one = (session: LinkSession): Promise<void> =>
      new Promise((resolve, reject) => {
        const messages = 1 + random(4);
        const kind = messages === 1 ? callKind.unary : callKind.bidi;
        let received = 0;
        const cancelsAt = random(10) < 3 ? random(messages + 1) : -1;
        const stream = session.open(head(kind), {
          onData() {
            received += 1;
            stream.consume();
            if (received !== cancelsAt) return;
            stream.reset(resetCode.cancelled);
            resolve();
          },
          onEnd: ({ code }) =>
            code === 0 && received === messages ? resolve() : reject(new Error(`${code} ${received}`)),
          onReset: (code, message) => reject(new Error(`${code} ${message}`)),
        });
        for (let index = 1; index <= messages; index++) {
          const bytes = new Uint8Array(random(50) === 0 ? random(200_000) : random(300));
          if (index === messages) stream.end(undefined, bytes);
          else stream.send(bytes);
        }
        if (cancelsAt !== 0) return;
        stream.reset(resetCode.cancelled);
        resolve();
      });
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 100 }, (_, index) => one(index % 3 === 0 ? taker : caller)));
    }
    // One more each way, so that the last cancels have arrived.
    for (const session of [caller, taker]) await call(session, new Uint8Array(1));
    for (const { stats } of [caller, taker]) {
      expect(stats).toMatchObject({ openStreams: 0, waitingCalls: 0, unreadBytes: 0 });
    }
    caller.close("done");
    await Promise.all([ended(caller), ended(taker)]);
    await ends.release();
  });

  test("a side that dies ends the other's calls at once", async () => {
    const ends = await open();
    const { caller, ended } = await sessions(ends, () => withoutEnd);
    const answer = call(caller, new Uint8Array(1));
    const two = call(caller, new Uint8Array(100_000));
    ends.acceptor.destroy();
    expect(await Promise.all([answer, two])).toEqual([resetCode.unavailable, resetCode.unavailable]);
    expect((await ended(caller)).code).toBe(closeCode.lost);
    await ends.release();
  });

  test("a reader that stops stops its sender, and only that one", async () => {
    const ends = await open();
    const { caller, taker } = await sessions(ends, (stream) =>
      stream.head.kind === callKind.unary ? echo(stream) : { ...withoutEnd, pieces: true },
    );
    const stuck = caller.open(head(callKind.bidi), withoutEnd, new Uint8Array(3_000_000));
    for (let index = 0; index < 20; index++) expect(await call(caller, new Uint8Array(5_000))).toHaveLength(5_000);
    expect(stuck.queuedBytes).toBeGreaterThan(2_900_000);
    expect(taker.stats.unreadBytes).toBeLessThanOrEqual(65_536);
    stuck.reset(resetCode.cancelled);
    caller.close();
    await ends.release();
  });
});

describe("dialling", () => {
  test.each([
    { why: "a wrong identity", path: "", token: "Bearer no", code: "UNAUTHENTICATED", status: 401 },
    {
      why: "a host without links there",
      path: "/elsewhere",
      token: "Bearer t",
      code: "PLUGIN_UNREACHABLE",
      status: 404,
    },
  ])("$why is said by its code", async ({ path, token, code, status }) => {
    const server = await listen(undefined);
    const dialled = dial(server.url + path, { headers: { authorization: token } });
    await expect(dialled).rejects.toMatchObject({ code, details: { status } });
    await server.close();
  });

  test("so is a wrong identity on a Unix socket, and one where nobody listens", async () => {
    const folder = mkdtempSync(join(tmpdir(), "link-"));
    const server = await listen({ path: join(folder, "s") });
    await expect(dial(server.url, { headers: {} })).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    await server.close();
    await expect(dial(server.url)).rejects.toMatchObject({ code: "PLUGIN_UNREACHABLE", details: {} });
    rmSync(folder, { recursive: true });
  });

  test("a host that never answers is given up in time", async () => {
    const { createServer: createTcpServer } = await import("node:net");
    const sockets: import("node:net").Socket[] = [];
    const server = createTcpServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await expect(dial(url, { timeoutMs: 50 })).rejects.toMatchObject({ code: "PLUGIN_UNREACHABLE" });
    await expect(dial(url, { signal: AbortSignal.abort() })).rejects.toThrow("the caller gave up");
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => void server.close(() => resolve()));
  });

  test.each(["WebSocket", "a Unix socket"])("the time limit is over once a link over %s stands", async (name) => {
    const clock = manualClock();
    const folder = mkdtempSync(join(tmpdir(), "link-"));
    const server = await listen(name === "WebSocket" ? undefined : { path: join(folder, "s") });
    const abort = new AbortController();
    const dialled = dial(server.url, { clock, signal: abort.signal });
    const [acceptor, dialler] = await Promise.all([server.accept(), dialled]);
    const { caller } = await sessions({ dialler, acceptor });
    expect(clock.pending).toBe(0);
    abort.abort();
    expect(await call(caller, new Uint8Array(3))).toHaveLength(3);
    caller.close();
    await server.close();
    rmSync(folder, { recursive: true });
  });
});
