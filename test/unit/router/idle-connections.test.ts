import { once } from "node:events";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { expect, test } from "vitest";
import { targetAddress } from "../../../src/router/target-address.js";
import type { UpstreamEvents } from "../../../src/router/upstream.js";
import { Http1Upstream } from "../../../src/router/upstream-http1.js";
import { within } from "../../support/http-server.js";
import { type ManualClock, manualClock } from "../../support/manual-clock.js";

/** A provider whose answers wait for `answer`, and whose patience with a connection stands in the path. */
async function startProvider() {
  const sockets = new Map<string, Socket>();
  const held = new Map<string, () => void>();
  const arrivals: (() => void)[] = [];
  const server = http.createServer((req, res) => {
    const path = req.url ?? "";
    sockets.set(path, req.socket);
    held.set(path, () => res.setHeader("keep-alive", `timeout=${path.slice(2)}`).end("x"));
    for (const arrived of arrivals.splice(0)) arrived();
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    answer: async (path: string) => {
      while (!held.has(path)) await new Promise<void>((resolve) => arrivals.push(resolve));
      held.get(path)?.();
      held.delete(path);
    },
    /** Resolves when the connection that a call came over is closed. */
    closed: async (path: string) => {
      const socket = sockets.get(path);
      if (socket !== undefined && !socket.closed) await within(2_000, `the end of ${path}`, once(socket, "close"));
    },
    isOpen: (path: string) => sockets.get(path)?.readyState === "open",
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function openUpstream(url: string, clock: ManualClock, idleSocketMs = 30_000) {
  const target = targetAddress({ kind: "http", url, protocols: ["h1"] });
  if (target === undefined) throw new Error("no target");
  const upstream = new Http1Upstream(target, { clock, connectTimeoutMs: 5_000, idleSocketMs, maxHeaderBytes: 65_536 });
  return {
    /** Resolves when the answer has ended and its connection is free. */
    call: (path: string) =>
      new Promise<void>((resolve, reject) => {
        const nothing = (): void => {};
        const events: UpstreamEvents = {
          ready: nothing,
          drained: nothing,
          informational: nothing,
          answered: nothing,
          data: nothing,
          ended: () => setImmediate(resolve),
          broken: ({ message }) => reject(new Error(message)),
        };
        const request = { method: "GET", path, fields: [], hasBody: false, length: undefined, expectsContinue: false };
        upstream.start(request, events);
      }),
    [Symbol.dispose]: () => upstream.close(),
  };
}

test("an idle connection is closed a second before its provider would close it", async () => {
  await using provider = await startProvider();
  const clock = manualClock();
  using upstream = openUpstream(provider.url, clock);
  const call = upstream.call("/a3");
  await provider.answer("/a3");
  await within(2_000, "the call", call);
  clock.advance(1_900);
  expect(provider.isOpen("/a3")).toBe(true);
  clock.advance(100);
  await provider.closed("/a3");
  expect(clock.pending).toBe(0);
});

test("each idle connection goes in its own time, on one timer for all of them", async () => {
  await using provider = await startProvider();
  const clock = manualClock();
  using upstream = openUpstream(provider.url, clock);
  const paths = ["/a9", "/b3", "/c5"];
  const calls = paths.map((path) => upstream.call(path));
  for (const path of paths) await provider.answer(path);
  await within(2_000, "the calls", Promise.all(calls));
  expect(clock.delays()).toEqual([2_000]);
  clock.advance(2_000);
  await provider.closed("/b3");
  expect([provider.isOpen("/a9"), provider.isOpen("/c5")]).toEqual([true, true]);
  expect(clock.delays()).toEqual([2_000]);
  clock.advance(2_000);
  await provider.closed("/c5");
  expect(provider.isOpen("/a9")).toBe(true);
  clock.advance(4_000);
  await provider.closed("/a9");
  expect(clock.pending).toBe(0);
});

test("a connection that was used again has its whole time again", async () => {
  await using provider = await startProvider();
  const clock = manualClock();
  using upstream = openUpstream(provider.url, clock, 1_000);
  for (let round = 0; round < 4; round++) {
    const call = upstream.call("/a60");
    await provider.answer("/a60");
    await within(2_000, "the call", call);
    clock.advance(900);
    expect(provider.isOpen("/a60")).toBe(true);
    expect(clock.pending).toBe(1);
  }
  clock.advance(100);
  await provider.closed("/a60");
});
