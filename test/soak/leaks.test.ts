import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Platform } from "../../src/index.js";
import { startCall, type TestServer, within } from "../support/http-server.js";
import { type CallSite, destroySession, kindOf } from "./abuse.js";
import { type Callers, ended, http1Callers, http2Callers } from "./callers.js";
import { CountingClock, createCensus, heapBytes } from "./census.js";
import { openHttp1, openHttp2, Sightings, type SoakProvider, soakModule } from "./providers.js";

const atOnce = 64;
const mebibyte = 1024 * 1024;

const sightings = new Sightings();
const clock = new CountingClock();
const complaints: unknown[] = [];
const complain = (complaint: unknown): void => {
  // Of the census itself.
  if (complaint instanceof Error && /v8\.queryObjects/.test(complaint.message)) return;
  complaints.push(complaint);
};

let platform: Platform;
let server: TestServer;
let headers: Record<string, string>;
let programs: SoakProvider[];

/** What tests call through, around the port of the platform. */
function asTestServer(url: string): TestServer {
  const port = Number(new URL(url).port);
  return {
    url,
    port,
    connect: () => connect(port),
    errors: [],
  } as unknown as TestServer;
}

const { connect: dial } = await import("node:net");
const connect = (port: number) => dial(port, "127.0.0.1");

async function post(path: string, message: object): Promise<Record<string, string>> {
  const answer = await fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close", ...headers },
    body: JSON.stringify(message),
  });
  expect(answer.status).toBe(200);
  return (await answer.json()) as Record<string, string>;
}

const declares = (selfId: string, type: string, protocols: string) => ({
  selfId,
  selfVersion: "1.0.0",
  provides: [{ type, version: "1.0.0", path: "/" }],
  metadata: { protocols },
});

beforeAll(async () => {
  process.on("warning", complain).on("unhandledRejection", complain);
  platform = new Platform({
    clock,
    aliasLifeMs: 200,
    // Connections that nobody uses go soon, so that what stays open is a leak.
    router: { idleSocketMs: 200, idleSessionMs: 200, maxStreamsPerSession: 40 },
    // Calls that fail on purpose must not keep the others from being answered.
    health: { intervalMs: 600_000, ejectAfterFailures: 1_000_000, fallThreshold: 1_000_000 },
  });
  platform.on("warning", complain);
  await platform.listen();
  server = asTestServer(platform.url as string);
  headers = {};
  const { runtimeId, runtimeToken } = await post("/connectplugin.v1.HandshakeService/Handshake", {
    coreProtocolVersion: 1,
    appProtocolVersion: 1,
    magicCookieKey: "CONNECT_PLUGIN",
    magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
    selfId: "soak-caller",
    selfVersion: "1.0.0",
  });
  headers = { "x-plugin-runtime-id": runtimeId as string, authorization: `Bearer ${runtimeToken}` };
  programs = [await openHttp1(sightings), await openHttp2(sightings), await openHttp1(sightings)];
  const [http1, http2, closed] = programs as [SoakProvider, SoakProvider, SoakProvider];
  await platform.addPlugin({ endpoint: http1.url, declares: declares("http1", "http1", "h1") });
  await platform.addPlugin({ endpoint: http2.url, declares: declares("http2", "http2", "h2c") });
  await platform.addPlugin({ endpoint: closed.url, declares: declares("closed", "closed", "h1") });
  await platform.addPlugin({ module: soakModule("module", "module", sightings) });
  await closed.close();
});

afterAll(async () => {
  await platform?.stop();
  for (const program of programs ?? []) await program.close();
  process.off("warning", complain).off("unhandledRejection", complain);
});

/** Makes `count` calls of all kinds, a few of them at once. The sessions of the last group are destroyed now and then. */
async function callALot(prefix: string, count: number, groups: readonly Callers[]): Promise<void> {
  const types = ["http1", "http2", "module", "churn"];
  let next = 0;
  const work = async (): Promise<void> => {
    for (;;) {
      const index = next++;
      if (index >= count) return;
      const callers = groups[index % (groups.length - 1)] as Callers;
      const base = `/services/${types[(index >> 2) % types.length]}/any`;
      const site: CallSite = { callers, base, headers, id: `${prefix}-${index}`, sightings };
      await (index % 500 === 499
        ? destroySession({ ...site, callers: groups.at(-1) as Callers })
        : kindOf(index)(site));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

/** Opens watches and cuts them, before and after their first message. */
async function watchALot(count: number): Promise<void> {
  const request = JSON.stringify({ serviceType: "churn", includeProviders: true });
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(request.length, 1);
  for (let index = 0; index < count; index++) {
    using call = startCall(server, index % 2 === 0 ? "1.1" : "2", {
      path: "/connectplugin.v1.ServiceRegistry/WatchService",
      headers: { ...headers, "content-type": "application/connect+json", "connect-protocol-version": "1" },
    });
    const gone = ended(call);
    call.request.end(Buffer.concat([envelope, Buffer.from(request)]));
    if (index % 3 !== 0) {
      const { body } = await within(20_000, "a watch", call.head);
      await within(20_000, "its first message", new Promise((resolve) => body.once("data", resolve)));
    }
    call.leave();
    await within(20_000, "the end of a watch", gone);
    const views = platform.registry.watch("churn")[Symbol.asyncIterator]();
    await views.next();
    await views.return?.();
  }
}

/** Adds, replaces and removes the providers of `churn`, one of which is always there. */
async function changePluginsUntil(over: () => boolean): Promise<number> {
  let rounds = 0;
  for (; !over() || rounds === 0; rounds++) {
    const second = await platform.addPlugin({ module: soakModule("second", "churn", sightings) });
    const third = await platform.replacePlugin(second.runtimeId, {
      module: soakModule("second", "churn", sightings, "1.1.0"),
      limits: { drainMs: 500 },
    });
    await platform.removePlugin(third.runtimeId, { limits: { graceMs: 0, drainMs: 500 } });
    // All of that goes on in memory, without a turn of the event loop in between.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return rounds;
}

async function round(prefix: string, calls: number): Promise<void> {
  const groups = [http1Callers(server), http2Callers(server, 8), http2Callers(server, 2)];
  const anchor = await platform.addPlugin({ module: soakModule("first", "churn", sightings) });
  let isOver = false;
  const changes = changePluginsUntil(() => isOver);
  try {
    await Promise.all([callALot(prefix, calls, groups), watchALot(Math.ceil(calls / 50))]);
  } finally {
    isOver = true;
    await changes;
    await platform.removePlugin(anchor.runtimeId, { limits: { graceMs: 0, drainMs: 500 } });
    for (const callers of groups) await callers.close();
  }
}

test("after ten thousand calls that were broken off in every way nothing is left of them", async () => {
  const census = await createCensus(platform, clock);
  /** Waits until nothing is under way any more, and connections that nobody uses are closed. */
  const settled = (expected?: Record<string, number>) =>
    vi.waitFor(
      () => {
        const now = census();
        expect(now).toMatchObject({
          forwardedCalls: 0,
          http1Exchanges: 0,
          http2Exchanges: 0,
          watchers: 0,
          inFlight: 0,
        });
        expect(programs.map((program) => program.sockets())).toEqual([0, 0, 0]);
        expect(now.TCPSocketWrap).toBeUndefined();
        // Fewer are well too: what a round before has left to a timer may be gone by now.
        for (const [name, count] of Object.entries(expected ?? now))
          expect(now[name] ?? 0, name).toBeLessThanOrEqual(count);
        for (const name of Object.keys(now)) expect(expected ?? now, "a new kind").toHaveProperty(name);
        return now;
      },
      { timeout: 15_000, interval: 250 },
    );

  await round("warm-up", 1_000);
  const before = await settled();
  const heapBefore = heapBytes();
  await round("first", 6_500);
  await settled(before);
  const heapAfterFirst = heapBytes();
  await round("second", 6_500);
  await settled(before);
  const heapAfterSecond = heapBytes();

  console.info(
    `heap: ${[heapBefore, heapAfterFirst, heapAfterSecond].map((bytes) => (bytes / mebibyte).toFixed(2)).join(", ")} MiB`,
  );
  expect(heapAfterFirst - heapBefore).toBeLessThan(4 * mebibyte);
  expect(heapAfterSecond - heapAfterFirst).toBeLessThan(2 * mebibyte);
  expect(complaints).toEqual([]);
}, 180_000);
