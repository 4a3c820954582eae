import { once } from "node:events";
import http from "node:http";
import { describe, expect, test } from "vitest";
import { deferred } from "../../src/internal/deferred.js";
import { conditions } from "../support/conditions.js";
import { startHost } from "../support/host.js";
import { startCall, type Version, within } from "../support/http-server.js";
import { echoPlugin } from "../support/plugins.js";
import { pluginRecord, startHttp1Provider, startRouter } from "../support/router-host.js";

/** A provider that keeps its answers until it is told, and tells of each request. */
async function startHoldingProvider() {
  const arrived: { path: string; body: Promise<string>; release: () => void }[] = [];
  const { look, until } = conditions();
  const provider = await startHttp1Provider((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    const body = once(request, "end").then(() => Buffer.concat(chunks).toString());
    body.catch(() => {});
    response.on("error", () => {});
    arrived.push({ path: request.url ?? "", body, release: () => void response.end("done") });
    look();
  });
  return {
    arrived,
    address: provider.address(["h1"]),
    /** Resolves when `count` requests have arrived. */
    saw: (count: number): Promise<void> => until(() => arrived.length >= count),
    [Symbol.asyncDispose]: () => provider[Symbol.asyncDispose](),
  };
}

const path = (rest: string, id = "logger-1") => `/services/logger/${id}/${rest}`;

/** Resolves when so many calls wait for the provider. */
async function untilWaiting(host: Awaited<ReturnType<typeof startRouter>>, count: number): Promise<void> {
  while (host.router.waitingFor("logger-1") !== count) await new Promise((resolve) => setImmediate(resolve));
}

const withJson = { "content-type": "application/json" };

describe.each<Version>(["1.1", "2"])("a caller over HTTP/%s whose provider is full", (version) => {
  test("waits with its body unread, and is taken when a call has ended", async () => {
    await using provider = await startHoldingProvider();
    await using host = await startRouter({ maxInFlightPerProvider: 1, queueTimeoutMs: 60_000 });
    const { inFlight } = host.view.add(pluginRecord({ address: provider.address }));
    using first = startCall(host, version, { path: path("first") });
    first.request.end("1");
    await within(5_000, "the first", provider.saw(1));
    using second = startCall(host, version, { path: path("second") });
    second.request.end("a body that waits");
    await within(5_000, "the wait", untilWaiting(host, 1));
    using third = startCall(host, version, { path: path("third") });
    third.request.end("3");
    await within(5_000, "the wait", untilWaiting(host, 2));
    expect([provider.arrived.length, inFlight.count]).toEqual([1, 1]);
    provider.arrived[0]?.release();
    await within(5_000, "the second", provider.saw(2));
    expect(provider.arrived[1]?.path).toBe("/second");
    expect(await within(5_000, "its body", provider.arrived[1]?.body ?? Promise.reject())).toBe("a body that waits");
    provider.arrived[1]?.release();
    await within(5_000, "the third", provider.saw(3));
    provider.arrived[2]?.release();
    for (const call of [first, second, third]) expect(await call.answer()).toMatchObject({ status: 200, text: "done" });
    await within(5_000, "the end", inFlight.whenIdle());
    expect(host.router.waitingFor("logger-1")).toBe(0);
  });

  test("is refused when the queue is full, and when it has waited long enough", async () => {
    await using provider = await startHoldingProvider();
    await using host = await startRouter({ maxInFlightPerProvider: 1, maxQueuedPerProvider: 1, queueTimeoutMs: 300 });
    host.view.add(pluginRecord({ address: provider.address }));
    using first = startCall(host, version, { path: path("first") });
    first.request.end();
    await within(5_000, "the first", provider.saw(1));
    using second = startCall(host, version, { path: path("second"), headers: withJson });
    second.request.end("{}");
    using third = startCall(host, version, { path: path("third"), headers: withJson });
    third.request.end("{}");
    const refusals = await within(5_000, "the refusals", Promise.all([second.answer(), third.answer()]));
    for (const { status, headers, text } of refusals) {
      expect(status).toBe(503);
      expect(headers["retry-after"]).toBe("1");
      expect(JSON.parse(text)).toMatchObject({ code: "unavailable" });
    }
    expect(refusals.map(({ text }) => /has waited 300 ms|1 more wait already/.exec(text)?.[0]).sort()).toEqual([
      "1 more wait already",
      "has waited 300 ms",
    ]);
    provider.arrived[0]?.release();
    expect(await first.answer()).toMatchObject({ status: 200 });
    expect(provider.arrived).toHaveLength(1);
    expect(host.events.filter(({ outcome }) => outcome === "refused")).toHaveLength(2);
  });

  test("gets deadline_exceeded when its own time is over first", async () => {
    await using provider = await startHoldingProvider();
    await using host = await startRouter({ maxInFlightPerProvider: 1, queueTimeoutMs: 60_000 });
    host.view.add(pluginRecord({ address: provider.address }));
    using first = startCall(host, version, { path: path("first") });
    first.request.end();
    await within(5_000, "the first", provider.saw(1));
    const headers = { ...withJson, "connect-protocol-version": "1", "connect-timeout-ms": "100" };
    using second = startCall(host, version, { path: path("second"), headers });
    second.request.end("{}");
    const answer = await within(5_000, "the deadline", second.answer());
    expect(answer.status).toBe(504);
    expect(JSON.parse(answer.text)).toMatchObject({ code: "deadline_exceeded" });
    expect([host.router.waitingFor("logger-1"), provider.arrived.length]).toEqual([0, 1]);
    expect(host.view.failures).toEqual([]);
  });

  test("that hangs up leaves the queue", async () => {
    await using provider = await startHoldingProvider();
    await using host = await startRouter({ maxInFlightPerProvider: 1, queueTimeoutMs: 60_000 });
    const { inFlight } = host.view.add(pluginRecord({ address: provider.address }));
    using first = startCall(host, version, { path: path("first") });
    first.request.end();
    await within(5_000, "the first", provider.saw(1));
    using second = startCall(host, version, { path: path("second") });
    second.request.end();
    await within(5_000, "the wait", untilWaiting(host, 1));
    second.leave();
    expect(await within(5_000, "the event", host.event())).toMatchObject({ outcome: "caller-gone", code: "canceled" });
    expect(host.router.waitingFor("logger-1")).toBe(0);
    provider.arrived[0]?.release();
    expect(await first.answer()).toMatchObject({ status: 200 });
    await within(5_000, "the end", inFlight.whenIdle());
    expect(provider.arrived).toHaveLength(1);
  });
});

test("a call that waits takes one call of its caller's rate, and not one more each time that it is decided on", async () => {
  await using provider = await startHoldingProvider();
  await using host = await startRouter({ maxInFlightPerProvider: 1, queueTimeoutMs: 60_000 });
  host.view.add(pluginRecord({ address: provider.address }));
  let taken = 0;
  host.view.takeRate = () => {
    taken++;
    return 0;
  };
  using first = startCall(host, "1.1", { path: path("first") });
  first.request.end();
  await within(5_000, "the first", provider.saw(1));
  using second = startCall(host, "1.1", { path: path("second") });
  second.request.end();
  await within(5_000, "the wait", untilWaiting(host, 1));
  host.router.providersChanged(new Set(["logger"]));
  provider.arrived[0]?.release();
  await within(5_000, "the second", provider.saw(2));
  provider.arrived[1]?.release();
  await second.answer();
  expect(taken).toBe(2);
});

test("a call for any provider goes to another one with room before it waits", async () => {
  await using busy = await startHoldingProvider();
  await using free = await startHttp1Provider((_request, response) => void response.end("free"));
  await using host = await startRouter({ maxInFlightPerProvider: 1 });
  host.view.add(pluginRecord({ address: busy.address }));
  host.view.add(pluginRecord({ runtimeId: "logger-2", address: free.address(["h1"]) }));
  using first = startCall(host, "1.1", { path: path("first") });
  first.request.end();
  await within(5_000, "the first", busy.saw(1));
  using second = startCall(host, "1.1", { path: path("second", "any") });
  second.request.end();
  expect(await within(5_000, "the second", second.answer())).toMatchObject({ text: "free" });
  busy.arrived[0]?.release();
  await first.answer();
});

test("a body over the limit is refused at once, however long the queue is", async () => {
  await using provider = await startHoldingProvider();
  await using host = await startRouter({ maxInFlightPerProvider: 1, maxBodyBytes: 2, queueTimeoutMs: 60_000 });
  host.view.add(pluginRecord({ address: provider.address }));
  using first = startCall(host, "1.1", { path: path("first") });
  first.request.end();
  await within(5_000, "the first", provider.saw(1));
  using second = startCall(host, "1.1", { path: path("second"), headers: { "content-length": "3" } });
  second.request.end("abc");
  expect((await within(5_000, "the refusal", second.answer())).status).toBe(413);
});

test("an upgrade waits like any call, is taken in its turn, and leaves the queue if its caller hangs up", async () => {
  const server = http.createServer();
  const joined = deferred<http.IncomingMessage>();
  server.on("upgrade", (request, socket) => {
    socket.on("error", () => {});
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    joined.resolve(request);
    socket.on("end", () => socket.end());
  });
  const held = deferred<http.ServerResponse>();
  server.on("request", (_request, response) => held.resolve(response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  await using host = await startRouter({ maxInFlightPerProvider: 1, queueTimeoutMs: 60_000 });
  const address = { kind: "http", url: `http://127.0.0.1:${port}`, protocols: undefined } as const;
  const { inFlight } = host.view.add(pluginRecord({ address }));
  using first = startCall(host, "1.1", { path: path("first") });
  first.request.end();
  const response = await within(5_000, "the first", held.promise);
  const open = (rest: string): http.ClientRequest => {
    const headers = { connection: "Upgrade", upgrade: "websocket" };
    const request = http.request({ host: "127.0.0.1", port: host.port, path: path(rest), headers, agent: false });
    request.on("error", () => {});
    request.end();
    return request;
  };
  const gone = open("gone");
  await within(5_000, "the wait", untilWaiting(host, 1));
  const kept = open("kept");
  await within(5_000, "the wait", untilWaiting(host, 2));
  gone.destroy();
  await within(5_000, "the hang-up", untilWaiting(host, 1));
  response.end("done");
  const [, socket] = await within(5_000, "the upgrade", once(kept, "upgrade"));
  expect((await joined.promise).url).toBe("/kept");
  expect(inFlight.count).toBe(1);
  socket.destroy();
  await within(5_000, "the end", inFlight.whenIdle());
  server.closeAllConnections();
  server.close();
});

test("calls that wait for a plugin go to its replacement, and not one fails", async () => {
  await using host = await startHost({ router: { maxInFlightPerProvider: 2, queueTimeoutMs: 30_000 } });
  const { platform } = host;
  const release = deferred();
  const before = await platform.addPlugin({ module: echoPlugin({ onSay: () => release.promise }) });
  const caller = await host.caller();
  const say = (id: string) => caller.echo(id).say({ text: "x" });
  const first = [say(before.runtimeId), say(before.runtimeId)];
  while (platform.plugin(before.runtimeId).inFlight !== 2) await new Promise((resolve) => setImmediate(resolve));
  const waiting = [say(before.runtimeId), say("any"), say(before.runtimeId)];
  while (platform.plugin(before.runtimeId).waiting !== 3) await new Promise((resolve) => setImmediate(resolve));
  const replaced = platform.replacePlugin(before.runtimeId, { module: echoPlugin({ version: "2.0.0" }) });
  const answers = await within(10_000, "those that waited", Promise.all(waiting));
  release.resolve();
  const after = await within(10_000, "the replacement", replaced);
  expect(new Set(answers.map(({ provider }) => provider))).toEqual(new Set(["echo@2.0.0"]));
  expect(await within(5_000, "the first", Promise.all(first))).toHaveLength(2);
  expect(platform.plugin(after.runtimeId)).toMatchObject({ inFlight: 0, waiting: 0 });
});
