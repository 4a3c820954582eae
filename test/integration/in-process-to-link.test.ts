import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type CallEvent, Platform, type PlatformOptions } from "../../src/index.js";
import { deferred } from "../../src/internal/deferred.js";
import { resetCode } from "../../src/link/frame.js";
import { okEnd } from "../../src/link/head-codec.js";
import type { LinkStream, LinkStreamHandler } from "../../src/link/link-stream.js";
import { servePlugin } from "../../src/plugin/index.js";
import { codeOf, failureOf, readAll } from "../contract/transports/outcome.js";
import { Echo, SayResponseSchema } from "../support/gen/echo/v1/echo_pb.js";
import { startHost, type TestHost } from "../support/host.js";
import { type LinkPlugin, type LinkPluginOptions, linkPlugin } from "../support/link-plugin.js";
import { addModuleCaller } from "../support/module-caller.js";
import { type EchoOptions, echoPlugin } from "../support/plugins.js";

/** A platform with the accounts of calls to services. */
async function openHost(platform: PlatformOptions = {}) {
  const host = await startHost({ limits: { graceMs: 1_000, drainMs: 5_000, shutdownMs: 1_000 }, ...platform });
  const calls: CallEvent[] = [];
  host.platform.on("call", (call) => calls.push(call));
  return Object.assign(host, { calls });
}

/** A program without the SDK that plays a plugin on a link. */
async function playPlugin(host: TestHost, selfId: string, options?: LinkPluginOptions): Promise<LinkPlugin> {
  const plugin = await linkPlugin(host.url, await host.handshake(selfId), options);
  await plugin.register("echo");
  await host.until(() => host.platform.plugin(plugin.identity.runtimeId).health === "healthy");
  return plugin;
}

/** A program of the SDK without a port. */
const serveOnLink = (url: string, options?: EchoOptions) =>
  servePlugin(echoPlugin(options), { env: {}, hostUrl: url, listen: "never", graceMs: 500 });

test("a call of a module and one of the host reach a plugin on a link without HTTP, and are accounted for", async () => {
  await using host = await openHost();
  await using provider = await serveOnLink(host.url);
  const { client, view } = await addModuleCaller(host.platform);
  expect(await client.say({ text: "hi" })).toMatchObject({ text: "hi", provider: "echo@1.0.0" });
  expect(await host.platform.client(Echo).say({ text: "hi" })).toMatchObject({ text: "hi" });
  expect(await readAll(client.serverStream({ count: 3 }))).toHaveLength(3);
  expect(host.calls[0]).toEqual({
    caller: { kind: "plugin", runtimeId: view.runtimeId, selfId: "caller" },
    provider: { runtimeId: provider.runtimeId, selfId: "echo" },
    serviceType: "echo",
    method: "/echo.v1.Echo/Say",
    protocol: "in-process",
    httpVersion: "none",
    status: 200,
    code: "ok",
    outcome: "completed",
    reason: "",
    requestBytes: 4,
    responseBytes: expect.any(Number),
    durationMs: expect.any(Number),
    startedAt: expect.any(Number),
    traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/),
  });
  expect(host.calls[0]?.responseBytes).toBeGreaterThan(4);
  expect(host.calls[1]).toMatchObject({ caller: { kind: "host" }, protocol: "in-process" });
  expect(host.calls[2]).toMatchObject({ method: "/echo.v1.Echo/ServerStream", code: "ok", protocol: "in-process" });
});

test("the caller's trace goes on, and what it says of itself does not", async () => {
  await using host = await openHost();
  await using provider = await playPlugin(host, "far");
  const { client, view } = await addModuleCaller(host.platform);
  const trace = "0af7651916cd43dd8448eb211c80319c";
  const headers = {
    traceparent: `00-${trace}-b7ad6b7169203331-01`,
    "x-plugin-caller-id": "somebody else",
    "x-own": "1",
  };
  // The answer of this plugin is the question again.
  await client.say({ text: "hi" }, { headers });
  const fields = Object.fromEntries(
    (provider.heads[0]?.fields ?? []).flatMap((name, index, all) => (index % 2 === 0 ? [[name, all[index + 1]]] : [])),
  );
  expect(fields.traceparent).toMatch(new RegExp(`^00-${trace}-`));
  expect(fields).toMatchObject({ "x-plugin-caller-id": view.runtimeId, "x-own": "1", "x-plugin-service": "echo" });
  expect(fields).not.toHaveProperty("content-type");
  expect(host.calls[0]?.traceparent).toBe(fields.traceparent);
});

test("a call that is not allowed is refused with the reason, and the plugin hears nothing of it", async () => {
  await using host = await openHost({ authorize: () => "not today" });
  await using provider = await playPlugin(host, "far");
  const { client } = await addModuleCaller(host.platform);
  const error = await failureOf(client.say({}));
  expect([error.code, error.rawMessage.includes("not today")]).toEqual([Code.PermissionDenied, true]);
  expect(provider.heads).toEqual([]);
});

test("a call waits for a full plugin in turn, as long as its caller does", async () => {
  const answers: (() => void)[] = [];
  const arrivals = [deferred(), deferred()];
  await using host = await openHost({ router: { maxInFlightPerProvider: 1 } });
  await using _ = await serveOnLink(host.url, {
    onSay: () =>
      new Promise<void>((resolve) => {
        answers.push(resolve);
        arrivals[answers.length - 1]?.resolve();
      }),
  });
  const { client } = await addModuleCaller(host.platform);
  const first = client.say({ text: "1" });
  await arrivals[0]?.promise;
  const second = client.say({ text: "2" });
  const stream = readAll(client.serverStream({ count: 2 }));
  const stop = new AbortController();
  const impatient = codeOf(client.say({ text: "3" }, { signal: stop.signal }));
  const late = codeOf(client.say({ text: "4" }, { timeoutMs: 20 }));
  stop.abort();
  expect([await impatient, await late]).toEqual(["Canceled", "DeadlineExceeded"]);
  answers[0]?.();
  expect(await first).toMatchObject({ text: "1" });
  await arrivals[1]?.promise;
  expect(host.platform.plugins().map(({ inFlight }) => inFlight)).toEqual([1, 0]);
  answers[1]?.();
  expect(await second).toMatchObject({ text: "2" });
  expect(await stream).toHaveLength(2);
  expect(answers).toHaveLength(2);
  expect(host.calls.map(({ outcome }) => outcome)).toEqual([
    "caller-gone",
    "refused",
    "completed",
    "completed",
    "completed",
  ]);
  expect(host.platform.plugins().map(({ inFlight }) => inFlight)).toEqual([0, 0]);
});

test("a caller's rate counts, each call once", async () => {
  await using host = await openHost({ callerRate: { perSecond: 0.001, burst: 3 } });
  await using _ = await serveOnLink(host.url);
  const { client } = await addModuleCaller(host.platform);
  for (let index = 0; index < 3; index++) await client.say({});
  expect(await codeOf(client.say({}))).toBe("ResourceExhausted");
});

/** Plays a plugin on a link that refuses its first calls, as one does that is about to leave. */
function refusing(times: number): {
  serve(stream: LinkStream): LinkStreamHandler | undefined;
  readonly refused: number;
} {
  let refused = 0;
  return {
    get refused() {
      return refused;
    },
    serve(stream) {
      if (refused === times) return undefined;
      refused += 1;
      queueMicrotask(() => stream.reset(resetCode.refused, "not now"));
      return { onData() {}, onEnd() {}, onReset() {} };
    },
  };
}

test("a call that no plugin has looked at goes to another one, on a link or not", async () => {
  await using host = await openHost();
  const unwilling = refusing(Number.POSITIVE_INFINITY);
  await using _ = await playPlugin(host, "unwilling", unwilling);
  await using endpoint = await servePlugin(echoPlugin({ id: "far" }), { env: {}, graceMs: 500, link: "off" });
  await host.platform.addPlugin({ endpoint: endpoint.url });
  const { client } = await addModuleCaller(host.platform);
  for (let index = 0; index < 4; index++) expect((await client.say({ text: "hi" })).provider).toBe("far@1.0.0");
  expect(await readAll(client.serverStream({ count: 2 }))).toHaveLength(2);
  expect(await readAll(client.serverStream({ count: 2 }))).toHaveLength(2);
  expect(unwilling.refused).toBeGreaterThan(1);
  expect(host.calls.map(({ code, provider }) => [code, provider?.selfId])).toEqual(Array(6).fill(["ok", "far"]));
});

test("a plugin that does not answer in time counts as failed, and its link is told", async () => {
  const told = deferred<number>();
  await using host = await openHost({ router: { headersTimeoutMs: 50 } });
  await using _ = await playPlugin(host, "far", {
    serve: () => ({ onData() {}, onEnd() {}, onReset: (code) => told.resolve(code) }),
  });
  const { client } = await addModuleCaller(host.platform);
  const error = await failureOf(client.say({}));
  expect([error.code, error.metadata.get("retry-after")]).toEqual([Code.Unavailable, "1"]);
  expect(error.rawMessage).toContain("did not answer within 50 ms");
  expect(await told.promise).toBe(resetCode.cancelled);
  expect(host.calls[0]).toMatchObject({ outcome: "provider-failed", status: 504 });
});

test("a request over the limit is refused, whole or in parts", async () => {
  await using host = await openHost({ router: { maxBodyBytes: 100 } });
  await using _ = await serveOnLink(host.url);
  const { client } = await addModuleCaller(host.platform);
  expect(await codeOf(client.say({ text: "x".repeat(101) }))).toBe("ResourceExhausted");
  async function* many() {
    for (let index = 0; index < 10; index++) yield { text: "x".repeat(20) };
  }
  expect(await codeOf(client.clientStream(many()))).toBe("ResourceExhausted");
  expect((await client.say({ text: "x".repeat(90) })).text).toHaveLength(90);
  expect(host.calls.map(({ outcome }) => outcome)).toEqual(["refused", "refused", "completed"]);
});

test("an answer that comes in many frames arrives whole, however long it is", async () => {
  await using host = await openHost({ link: { maxMessageBytes: 200_000 } });
  let size = 250_000;
  await using _ = await playPlugin(host, "far", {
    serve: (stream) => ({
      onData: () => stream.consume(),
      onEnd: () =>
        stream.end(okEnd, toBinary(SayResponseSchema, create(SayResponseSchema, { text: "x".repeat(size) }))),
      onReset() {},
    }),
  });
  const { client } = await addModuleCaller(host.platform);
  expect((await client.say({})).text).toHaveLength(250_000);
  size = 1;
  expect((await client.say({})).text).toHaveLength(1);
});

test("a plugin that is removed finishes its calls first, and takes no more", async () => {
  const go = deferred();
  const begun = deferred();
  await using host = await openHost();
  await using provider = await serveOnLink(host.url, {
    onSay: () => {
      begun.resolve();
      return go.promise;
    },
  });
  const { client } = await addModuleCaller(host.platform);
  const call = client.say({ text: "hi" });
  await begun.promise;
  let isRemoved = false;
  const removal = host.platform.removePlugin(provider.runtimeId as string, { limits: { graceMs: 0 } }).then(() => {
    isRemoved = true;
  });
  const untilRefused = async (): Promise<never> => {
    for (;;) await readAll(client.serverStream({ count: 1 }));
  };
  expect(await codeOf(untilRefused())).toMatch(/Unavailable|NotFound/);
  expect(isRemoved).toBe(false);
  go.resolve();
  expect(await call).toMatchObject({ text: "hi" });
  await removal;
});

test("a stream on which nothing moves is cut off where that has a limit", async () => {
  await using host = await openHost({ router: { idleStreamMs: 100 } });
  await using _ = await playPlugin(host, "far", {
    serve: (stream) => {
      stream.sendHead([]);
      return { onData: () => stream.consume(), onEnd() {}, onReset() {} };
    },
  });
  const { client } = await addModuleCaller(host.platform);
  const error = await failureOf(readAll(client.serverStream({})));
  expect([error.code, error.rawMessage]).toEqual([Code.Unavailable, "nothing moved in either direction for 100 ms"]);
});

test("nobody is told of calls that nobody listens to, and calls go on nevertheless", async () => {
  const platform = new Platform();
  await platform.listen({ port: 0 });
  const provider = await serveOnLink(platform.url as string);
  const { client } = await addModuleCaller(platform);
  const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => client.say({ text: String(index) })));
  expect(answers.map(({ text }) => Number(text))).toEqual(Array.from({ length: 200 }, (_, index) => index));
  await provider.stop({ graceMs: 0 });
  await platform.stop();
});
