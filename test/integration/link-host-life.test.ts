import { expect, test } from "vitest";
import { deferred } from "../../src/internal/deferred.js";
import { callKind, closeCode, resetCode } from "../../src/link/frame.js";
import { okEnd } from "../../src/link/head-codec.js";
import type { LinkStream, LinkStreamHandler } from "../../src/link/link-stream.js";
import { startHost, type TestHost } from "../support/host.js";
import { type LinkPlugin, type LinkPluginOptions, linkPlugin } from "../support/link-plugin.js";

async function provider(host: TestHost, selfId: string, options: LinkPluginOptions = {}): Promise<LinkPlugin> {
  const plugin = await linkPlugin(host.url, await host.handshake(selfId), options);
  await plugin.register("echo");
  await host.until(() => healthOf(host, plugin) === "healthy");
  return plugin;
}

const healthOf = (host: TestHost, { identity }: LinkPlugin): string =>
  host.platform.plugins().find(({ runtimeId }) => runtimeId === identity.runtimeId)?.health ?? "none";

const caller = async (host: TestHost): Promise<LinkPlugin> => linkPlugin(host.url, await host.handshake("near"));

/** A provider's code that keeps every call, and tells of it. */
function keeping() {
  const taken = deferred<LinkStream>();
  const ended = deferred<string>();
  const serve = (stream: LinkStream): LinkStreamHandler => {
    taken.resolve(stream);
    return {
      pieces: true,
      onData: () => stream.consume(),
      onEnd: () => {},
      onReset: (code) => ended.resolve(`reset ${code}`),
    };
  };
  return { taken: taken.promise, ended: ended.promise, serve };
}

test("a broken link makes calls in flight unavailable with a hint, and new ones too, until it is dialled again", async () => {
  await using host = await startHost();
  await using near = await caller(host);
  const { serve, taken } = keeping();
  const far = await provider(host, "far", { serve });
  const told = host.next("call");
  const answer = near.call("/services/echo/any/Say");
  await taken;
  far.transport.destroy();
  expect((await answer).end).toMatchObject({ code: 14, trailers: ["retry-after", "1"] });
  expect(await told).toMatchObject({ code: "unavailable", outcome: "provider-failed", status: 502 });
  const pinned = await near.call(`/services/echo/${far.identity.runtimeId}/Say`);
  const notSent = ["x-plugin-not-sent", near.identity.runtimeId];
  expect(pinned.end).toMatchObject({ code: 14, trailers: ["retry-after", "1", ...notSent] });
  expect(pinned.end?.message).toMatch(/link/);
  const { status, text } = await host.post("/services/echo/any/Say", {}, near.identity);
  expect([status, JSON.parse(text)]).toMatchObject([503, { code: "unavailable" }]);
  await host.until(() => healthOf(host, far) === "unhealthy");
  const hasLink = () => host.platform.plugin(far.identity.runtimeId).link;
  expect(hasLink()).toBe(false);
  await using again = await linkPlugin(host.url, far.identity);
  await host.until(hasLink);
  // What it had registered is still there: it has only been away.
  await host.until(() => healthOf(host, again) === "healthy");
  expect(await near.call("/services/echo/any/Say")).toMatchObject({ messages: ["hi"], end: { code: 0 } });
});

test("calls for any provider move on to another as soon as a link breaks", async () => {
  await using host = await startHost();
  await using near = await caller(host);
  const one = await provider(host, "one");
  await using two = await provider(host, "two");
  one.transport.destroy();
  await host.until(() => host.platform.registry.discover("echo").registration.runtimeId === two.identity.runtimeId);
  for (let index = 0; index < 10; index++) expect((await near.call("/services/echo/any/Say")).end?.code).toBe(0);
  expect(two.heads).toHaveLength(10);
});

test("a call that its provider refuses unseen is sent again, with its message, to another one", async () => {
  await using host = await startHost();
  await using near = await caller(host);
  let refusals = 0;
  const serve = (stream: LinkStream): LinkStreamHandler => {
    refusals += 1;
    stream.reset(resetCode.refused, "not now");
    return { onData() {}, onEnd() {}, onReset() {} };
  };
  await using _one = await provider(host, "one", { serve });
  await using two = await provider(host, "two");
  const answers = await Promise.all(["a", "b", "c", "d"].map((text) => near.call("/services/echo/any/Say", [text])));
  expect(answers.map(({ messages }) => messages[0])).toEqual(["a", "b", "c", "d"]);
  expect(refusals).toBeGreaterThan(0);
  expect(two.heads).toHaveLength(4);
  const alone = await near.call(`/services/echo/${_one.identity.runtimeId}/Say`);
  expect(alone.end).toMatchObject({ code: 14 });
});

test("a provider that says that it leaves gets no new calls and finishes its own", async () => {
  await using host = await startHost();
  await using near = await caller(host);
  const { serve, taken } = keeping();
  const far = await provider(host, "far", { serve });
  const answer = near.call("/services/echo/any/Say");
  const stream = await taken;
  far.session.close("it stops");
  await host.until(() => host.platform.registry.services()[0]?.providers[0]?.state === "unhealthy");
  expect((await near.call("/services/echo/any/Say")).end).toMatchObject({ code: 14 });
  stream.end(okEnd, Buffer.from("late"));
  expect(await answer).toMatchObject({ messages: ["late"], end: { code: 0 } });
  await far.closed;
});

test("a cancelled call ends at the provider, and one whose caller's link breaks too", async () => {
  await using host = await startHost();
  for (const way of ["cancel", "break"] as const) {
    const near = await caller(host);
    const { serve, taken, ended } = keeping();
    await using far = await provider(host, `far-${way}`, { serve });
    const told = host.next("call");
    const call = near.open(`/services/echo/${far.identity.runtimeId}/Say`, { kind: callKind.unary }, "hi");
    await taken;
    if (way === "cancel") call.stream.reset(resetCode.cancelled);
    else near.transport.destroy();
    expect(await ended).toBe("reset 0");
    expect(await told).toMatchObject({ code: "canceled", outcome: "caller-gone" });
    near.transport.destroy();
  }
});

test("a deadline ends a call at both ends, and goes to the provider", async () => {
  await using host = await startHost();
  await using near = await caller(host);
  const { serve, taken, ended } = keeping();
  await using far = await provider(host, "far", { serve });
  void far;
  const told = host.next("call");
  const { reset, end } = await near.call("/services/echo/any/Say", ["hi"], { deadlineMs: 60 });
  expect(reset?.code ?? end?.code).toBe(reset === undefined ? 4 : resetCode.deadline);
  expect((await taken).head.deadlineMs).toBeLessThanOrEqual(60);
  expect((await taken).head.deadlineMs).toBeGreaterThan(0);
  expect(await ended).toBe(`reset ${resetCode.deadline}`);
  expect(await told).toMatchObject({ code: "deadline_exceeded", outcome: "aborted", status: 504 });
});

test("a caller over HTTP that hangs up ends its call on the provider's link", async () => {
  await using host = await startHost();
  const { serve, taken, ended } = keeping();
  await using far = await provider(host, "far", { serve });
  void far;
  const identity = await host.handshake("near");
  const enough = new AbortController();
  const headers = {
    "x-plugin-runtime-id": identity.runtimeId,
    authorization: `Bearer ${identity.token}`,
    "content-type": "text/plain",
  };
  const request = fetch(`${host.url}/services/echo/any/x`, {
    method: "POST",
    headers,
    body: "hi",
    signal: enough.signal,
  });
  const stream = await taken;
  expect(stream.head.kind).toBe(callKind.http);
  enough.abort();
  await expect(request).rejects.toThrow();
  expect(await ended).toBe("reset 0");
});

test("requests whose body is not what their head says reach no provider over HTTP", async () => {
  await using host = await startHost();
  await using near = await caller(host);
  const fields = [":method", "POST", ":authority", "localhost", "content-length", "2"];
  const call = near.open("/connectplugin.health.v1.HealthService/Check", { kind: callKind.http, fields });
  call.stream.send(Buffer.from("too long"), false);
  expect((await call.answer).reset).toMatchObject({ code: resetCode.protocol });
  const odd = near.open("/health", { kind: callKind.http, fields: [":method", "GE T", ":authority", "localhost"] });
  odd.stream.end();
  expect((await odd.answer).fields.slice(0, 2)).toEqual([":status", "501"]);
  const page = near.open("/health", { kind: callKind.http, fields: [":method", "GET", ":authority", "localhost"] });
  page.stream.end();
  expect((await page.answer).fields.slice(0, 2)).toEqual([":status", "200"]);
});

test("a slow reader slows its writer down, and nothing gathers in the host", async () => {
  await using host = await startHost();
  await using near = await caller(host);
  const stuck = (stream: LinkStream): LinkStreamHandler => ({
    pieces: true,
    onData: () => {},
    onEnd: () => stream.end(),
    onReset: () => {},
  });
  await using far = await provider(host, "far", {
    serve: (stream) => (stream.head.path.endsWith("/Upload") ? stuck(stream) : undefined),
  });
  const call = near.open("/services/echo/any/Upload", { kind: callKind.clientStream });
  const piece = Buffer.alloc(16_000);
  const total = 30 * piece.length;
  for (let sent = 0; sent < total; sent += piece.length) call.stream.send(piece);
  // The others on both links go on as ever, and whatever could move has moved after so many turns.
  for (let turn = 0; turn < 20; turn++) expect((await near.call("/services/echo/any/Say")).end?.code).toBe(0);
  const windows = 2 * 65_536;
  expect(far.session.stats.unreadBytes).toBeLessThanOrEqual(65_536);
  expect(call.stream.queuedBytes).toBeGreaterThan(total - windows - piece.length);
  call.stream.reset(resetCode.cancelled);
});

test("frames that nobody may send end their own link and no other", async () => {
  await using host = await startHost();
  await using near = await caller(host);
  await using far = await provider(host, "far");
  const bad = await linkPlugin(host.url, await host.handshake("bad"));
  const call = near.open("/services/echo/any/Bidi");
  call.stream.send(Buffer.from("one"));
  expect(await call.next()).toBe("one");
  // An OPEN with an id that is the host's to use.
  bad.transport.send(Buffer.from("010300000d00000002" + "00000a0000182f612e412f4200", "hex"));
  expect((await bad.closed).code).toBe(closeCode.protocol);
  call.stream.send(Buffer.from("two"));
  expect(await call.next()).toBe("two");
  call.stream.end();
  expect((await call.answer).end?.code).toBe(0);
  expect(far.session.state).toBe("open");
  expect(host.warnings).toEqual([]);
});

test("calls wait for a provider on a link that has no room, and others are refused", async () => {
  await using host = await startHost({ router: { maxInFlightPerProvider: 1, maxQueuedPerProvider: 1 } });
  await using near = await caller(host);
  const streams: LinkStream[] = [];
  let came = deferred<void>();
  await using far = await provider(host, "far", {
    serve(stream) {
      streams.push(stream);
      came.resolve();
      return { onData: () => stream.consume(), onEnd: () => {}, onReset: () => {} };
    },
  });
  void far;
  const first = near.call("/services/echo/any/Say", ["1"]);
  await came.promise;
  came = deferred();
  const second = near.call("/services/echo/any/Say", ["2"]);
  const third = near.call("/services/echo/any/Say", ["3"]);
  expect((await third).end).toMatchObject({ code: 14 });
  streams[0]?.end(okEnd, Buffer.from("first"));
  expect((await first).messages).toEqual(["first"]);
  await came.promise;
  streams[1]?.end(okEnd, Buffer.from("second"));
  expect((await second).messages).toEqual(["second"]);
});

test("removing a plugin on a link lets its calls finish first", async () => {
  await using host = await startHost();
  await using near = await caller(host);
  const { serve, taken } = keeping();
  const far = await provider(host, "far", { serve });
  const answer = near.call("/services/echo/any/Say");
  const stream = await taken;
  const removed = host.platform.removePlugin(far.identity.runtimeId, { limits: { graceMs: 0 } });
  await host.until(() => host.steps.includes("remove unregister done"));
  stream.end(okEnd, Buffer.from("done"));
  expect((await answer).messages).toEqual(["done"]);
  await removed;
  expect((await far.closed).code).toBe(closeCode.revoked);
});

test("a plugin that gets an address later keeps its link, and is called there when the link has ended", async () => {
  await using host = await startHost();
  await using near = await caller(host);
  const far = await provider(host, "far");
  await far.register("other", { base_url: "http://127.0.0.1:1" });
  expect((await near.call("/services/other/any/Say")).end?.code).toBe(0);
  const noticed = host.next("changed");
  far.transport.destroy();
  await noticed;
  const { end } = await near.call(`/services/other/${far.identity.runtimeId}/Say`);
  expect(end?.code).toBe(14);
  expect(end?.message).toMatch(/127\.0\.0\.1:1|refused|cannot be reached/i);
});
