import { once } from "node:events";
import http2, { type ClientHttp2Session, constants, type ServerHttp2Stream } from "node:http2";
import net from "node:net";
import { expect, test } from "vitest";
import { callOn, connectHttp2, startCall, within } from "../support/http-server.js";
import {
  pluginRecord,
  type RouterHost,
  startHttp2Provider,
  startRouter,
  type TestProvider,
} from "../support/router-host.js";

const patienceMs = 8_000;
const mebibyte = 1024 * 1024;
const pathOf = (rest: string): string => `/services/logger/any/${rest}`;
const post = (rest: string) => ({ ":path": pathOf(rest), ":method": "POST" });

/** Serves `/ping`; holds `/watch` open after its first byte; never answers `/hang`; sends a mebibyte to everybody else. */
function serve(stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void {
  const path = headers[":path"];
  if (path === "/hang") return;
  stream.respond({ ":status": 200 });
  if (path === "/ping") stream.end("pong");
  else if (path === "/watch") {
    stream.write("!");
    stream.on("data", (part: Buffer) => stream.write(part));
  } else stream.end(Buffer.alloc(mebibyte));
}

/** Resolves when so many calls that are never answered have reached the provider. */
type Hung = (count: number) => Promise<void>;

async function withHttp2(
  play: (host: RouterHost, provider: TestProvider, hung: Hung) => Promise<void>,
  settings: http2.Settings = {},
): Promise<void> {
  let hanging = 0;
  let check = (): void => {};
  const hung: Hung = (count) =>
    new Promise((resolve) => {
      check = () => {
        if (hanging >= count) resolve();
      };
      check();
    });
  await using provider = await startHttp2Provider((stream, headers) => {
    serve(stream, headers);
    if (headers[":path"] !== "/hang") return;
    hanging++;
    check();
  }, settings);
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: provider.address(["h2c"]) }));
  await play(host, provider, hung);
}

/** Somebody else: one open stream, and calls of their own over either version. */
async function bystander(host: RouterHost) {
  const session = connectHttp2(host);
  const watch = callOn(session, post("watch"));
  watch.request.write("");
  const { body } = await within(patienceMs, "the watch", watch.head);
  let text = "";
  const listeners = new Set<() => void>();
  body.on("data", (part: Buffer) => {
    text += part;
    for (const wake of listeners) wake();
  });
  const saw = (wanted: string): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (!text.includes(wanted)) return;
        listeners.delete(check);
        resolve();
      };
      listeners.add(check);
      check();
    });
  return {
    async isServed(word: string): Promise<void> {
      watch.request.write(word);
      await within(patienceMs, "the open stream", saw(word));
      const call = callOn(session, post("ping"));
      call.request.end();
      expect((await within(patienceMs, "a call over HTTP/2", call.answer())).text).toBe("pong");
      using other = startCall(host, "1.1", { path: pathOf("ping") });
      other.request.end();
      expect((await within(patienceMs, "a call over HTTP/1.1", other.answer())).text).toBe("pong");
    },
    leave: () => session.destroy(),
  };
}

const countGone = ({ events }: RouterHost): number => events.filter(({ outcome }) => outcome === "caller-gone").length;

/**
 * Makes calls that are given up, fifty at a time, as soon as they have reached the provider. Returns early if the host has
 * had enough of it and ended the connection: that harms nobody else.
 */
async function resetALot(host: RouterHost, session: ClientHttp2Session, hung: Hung, from: number, to: number) {
  const ended = new Promise<"ended">((resolve) => session.once("close", () => resolve("ended")));
  for (let done = from; done < to; done += 50) {
    const calls = Array.from({ length: 50 }, () => callOn(session, post("hang")));
    if ((await within(patienceMs, "the calls", Promise.race([hung(done + 50), ended]))) === "ended") return;
    const before = host.events.length;
    for (const call of calls) call.leave();
    await within(patienceMs, "the events", host.event(before + 50));
  }
}

test("over 1,000 calls that one caller resets on one connection do not touch the open stream and the calls of another", () =>
  withHttp2(async (host, provider, hung) => {
    const other = await bystander(host);
    const session = connectHttp2(host);
    await resetALot(host, session, hung, 0, 1_200);
    expect(countGone(host)).toBeGreaterThanOrEqual(1_000);
    await other.isServed("after the burst");
    expect(host.events.filter(({ outcome }) => outcome === "provider-failed")).toEqual([]);
    // A session that has seen many resets takes no more calls, long before a provider would end it.
    expect(provider.connections()).toBeGreaterThan(1);
    session.destroy();
    other.leave();
  }));

test("over 1,000 calls that one caller resets on many connections do not, either", () =>
  withHttp2(async (host, _provider, hung) => {
    const other = await bystander(host);
    for (let round = 0; round < 12; round++) {
      const session = connectHttp2(host);
      await resetALot(host, session, hung, 100 * round, 100 * (round + 1));
      session.destroy();
      expect(countGone(host)).toBe(100 * (round + 1));
      if (round % 4 === 3) await other.isServed(`round ${round}`);
    }
    expect(host.events.filter(({ outcome }) => outcome === "provider-failed")).toEqual([]);
    other.leave();
  }));

test("a caller that shuts the windows of 90 streams does not hold up others on the same session to the provider", () =>
  withHttp2(async (host, provider) => {
    const session = connectHttp2(host);
    const stuck = Array.from({ length: 90 }, () => callOn(session, post("bulk")));
    for (const call of stuck) call.request.end();
    await within(patienceMs, "all heads", Promise.all(stuck.map((call) => call.head)));
    const other = await bystander(host);
    await other.isServed("passes");
    expect(provider.connections()).toBe(1);
    session.destroy();
    await within(patienceMs, "the events", host.event(92));
    await other.isServed("and goes on");
    other.leave();
  }));

test("idle streams that fill a provider's MAX_CONCURRENT_STREAMS make the host open another session", () =>
  withHttp2(
    async (host, provider) => {
      const session = connectHttp2(host);
      const watches = Array.from({ length: 9 }, () => callOn(session, post("watch")));
      for (const watch of watches) watch.request.write("");
      await within(patienceMs, "all watches", Promise.all(watches.map((watch) => watch.head)));
      const other = await bystander(host);
      await other.isServed("has room");
      // Ten watches and two calls, three to a session.
      expect(provider.connections()).toBe(4);
      expect(host.view.failures).toEqual([]);
      session.destroy();
      other.leave();
    },
    { maxConcurrentStreams: 3 },
  ));

test("500 connections that send a few bytes of a head and no more do not keep others from being served", () =>
  withHttp2(async (host) => {
    const heads = ["P", "PRI * HT", "GET /serv", "GET /services/logger/any/ping HTTP/1.1\r\nHost: h\r\nX-Slow: "];
    const sockets = Array.from({ length: 500 }, (_, index) => {
      const socket = net.connect(host.port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(heads[index % heads.length] as string);
      return socket;
    });
    await within(patienceMs, "all connections", Promise.all(sockets.map((socket) => once(socket, "connect"))));
    const other = await bystander(host);
    await other.isServed("as ever");
    expect(host.server.openConnections).toBeGreaterThanOrEqual(500);
    expect(host.server.openExchanges).toBe(1);
    other.leave();
    for (const socket of sockets) socket.destroy();
  }));

test("2,000 idle streams cost little, and end with their callers", () =>
  withHttp2(async (host) => {
    const { inFlight } = host.view.providers[0] as { inFlight: { count: number; whenIdle(): Promise<void> } };
    const before = process.memoryUsage();
    const sessions = Array.from({ length: 4 }, () => connectHttp2(host));
    const watches = sessions.flatMap((session) => Array.from({ length: 500 }, () => callOn(session, post("watch"))));
    for (const watch of watches) {
      watch.request.write("");
      watch.request.on("data", () => {});
    }
    await within(patienceMs, "all watches", Promise.all(watches.map((watch) => watch.head)));
    expect(inFlight.count).toBe(2_000);
    const after = process.memoryUsage();
    // Of all four ends together: the caller's, the host's two, and the provider's; and before any garbage is collected.
    const bytes = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    expect(bytes / 2_000).toBeLessThan(100 * 1024);
    const other = await bystander(host);
    await other.isServed("among them");
    other.leave();
    for (const session of sessions) session.destroy();
    await within(patienceMs, "the end of all streams", inFlight.whenIdle());
  }));

test("a provider that resets a thousand calls is not taken off others that use it", async () => {
  let wild = true;
  await using provider = await startHttp2Provider((stream, headers) => {
    if (headers[":path"] === "/hang" && wild) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    else serve(stream, headers);
  });
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: provider.address(["h2c"]) }));
  const other = await bystander(host);
  const session = connectHttp2(host);
  for (let round = 0; round < 22; round++) {
    const calls = Array.from({ length: 50 }, () => callOn(session, post("hang")));
    for (const call of calls) call.request.end();
    const answers = await within(patienceMs, "the refusals", Promise.all(calls.map((call) => call.answer())));
    expect(answers.every(({ status }) => status === 502)).toBe(true);
  }
  wild = false;
  await other.isServed("all the same");
  session.destroy();
  other.leave();
});
