import { Code, type Interceptor } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { deferred } from "../../src/internal/deferred.js";
import {
  type DependencyState,
  definePlugin,
  type PluginOptions,
  type ServedPlugin,
  servePlugin,
} from "../../src/plugin/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import { FakeHost } from "../support/fake-host.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { manualClock } from "../support/manual-clock.js";

const requires = { echo: { service: Echo, minVersion: "1.0.0" }, pages: { required: false } } as const;
type ConsumerSetup = PluginOptions<Record<never, never>, typeof requires>["setup"];
type Consumer = Parameters<ConsumerSetup>[0];

/** A plugin that does nothing itself; the test uses its context. */
function consumer(options: { interceptors?: Interceptor[]; identityWaitMs?: number } = {}) {
  const context = deferred<Consumer>();
  const plugin = definePlugin({ id: "consumer", version: "1.0.0", requires, ...options, setup: context.resolve });
  return { plugin, context: context.promise };
}

const provider = (id: string) =>
  definePlugin({
    id,
    version: "1.0.0",
    provides: { echo: { service: Echo }, pages: { handler: "fetch" } },
    setup: () => ({
      echo: echoOnly(id),
      pages: async (request) => {
        const { pathname, search } = new URL(request.url);
        return new Response(`${request.method} ${pathname}${search} ${await request.text()}`, { status: 201 });
      },
    }),
  });

const start = (plugin: Parameters<typeof servePlugin>[0], host: FakeHost): Promise<ServedPlugin> =>
  servePlugin(plugin, { hostUrl: host.url, env: {}, backOff: { firstMs: 1, longestMs: 5 } });

describe("a client under our host", () => {
  test("asks the router to choose, in the short form, with the plugin's identity, and over HTTP/1.1", async () => {
    await using host = await FakeHost.start();
    await using _ = await start(provider("one"), host);
    const { plugin, context } = consumer();
    await using running = await start(plugin, host);
    const client = (await context).client("echo");
    expect(await client.say({ text: "hi" })).toMatchObject({ text: "hi", provider: "one" });
    const [call] = host.named("/services/echo/any/Say");
    const token = host.identities.get(running.runtimeId ?? "");
    expect(call).toMatchObject({ httpVersion: "1.1", runtimeId: running.runtimeId, authorization: `Bearer ${token}` });
    expect(host.named("DiscoverService")).toEqual([]);
  });

  test("carries all kinds of streams, those in both directions over HTTP/2", async () => {
    await using host = await FakeHost.create();
    const hostUrl = await host.listenTcp();
    await using _ = await servePlugin(provider("one"), { hostUrl, env: {} });
    const { plugin, context } = consumer();
    await using __ = await servePlugin(plugin, { hostUrl, env: {} });
    const client = (await context).client("echo");
    const indexes: number[] = [];
    for await (const { index } of client.serverStream({ text: "a", count: 3 })) indexes.push(index);
    expect(indexes).toEqual([0, 1, 2]);
    async function* texts() {
      yield { text: "a" };
      yield { text: "b" };
    }
    expect(await client.clientStream(texts())).toMatchObject({ text: "ab", count: 2 });
    const next = deferred();
    async function* dialogue() {
      yield { text: "first" };
      await next.promise;
      yield { text: "second" };
    }
    const answers: string[] = [];
    for await (const { text } of client.bidiStream(dialogue())) {
      answers.push(text);
      next.resolve();
    }
    expect(answers).toEqual(["first", "second"]);
    expect(host.named("/services/echo/any/BidiStream")[0]?.httpVersion).toBe("2");
  });

  test("runs the plugin's interceptors around every call", async () => {
    await using host = await FakeHost.start();
    await using _ = await start(provider("one"), host);
    const methods: string[] = [];
    const { plugin, context } = consumer({
      interceptors: [
        (next) => (request) => {
          methods.push(request.method.name);
          return next(request);
        },
      ],
    });
    await using __ = await start(plugin, host);
    await (await context).client("echo").say({ text: "hi" });
    expect(methods).toEqual(["Say"]);
  });

  test("passes the caller's abort and the provider's errors on", async () => {
    await using host = await FakeHost.start();
    const called = deferred();
    const aborted = deferred();
    const stubborn = definePlugin({
      id: "stubborn",
      version: "1.0.0",
      provides: { echo: { service: Echo } },
      setup: () => ({
        echo: {
          ...echoOnly("stubborn"),
          say: (_, { signal }) =>
            new Promise<never>((_, reject) => {
              called.resolve();
              signal.addEventListener("abort", () => {
                aborted.resolve();
                reject(signal.reason);
              });
            }),
        },
      }),
    });
    await using _ = await start(stubborn, host);
    const { plugin, context } = consumer();
    await using __ = await start(plugin, host);
    const controller = new AbortController();
    const call = (await context).client("echo").say({ text: "hi" }, { signal: controller.signal });
    const refused = expect(call).rejects.toMatchObject({ code: Code.Canceled });
    await called.promise;
    controller.abort();
    await refused;
    await aborted.promise;
    await expect((await context).client("echo").say({ text: "hi" }, { timeoutMs: 5 })).rejects.toMatchObject({
      code: Code.DeadlineExceeded,
    });
  });

  test("a reader that leaves a stream early ends the provider's work", async () => {
    await using host = await FakeHost.start();
    const ended = deferred();
    const endless = definePlugin({
      id: "endless",
      version: "1.0.0",
      provides: { echo: { service: Echo } },
      setup: () => ({
        echo: {
          ...echoOnly("endless"),
          async *serverStream({ text }, { signal }) {
            signal.addEventListener("abort", () => ended.resolve());
            for (let index = 0; !signal.aborted; index++) {
              yield { text, index };
              await new Promise(setImmediate);
            }
          },
        },
      }),
    });
    await using _ = await start(endless, host);
    const { plugin, context } = consumer();
    await using __ = await start(plugin, host);
    for await (const { index } of (await context).client("echo").serverStream({ text: "x" })) if (index === 2) break;
    await ended.promise;
  });

  test("plugin.fetch reaches a service without a description", async () => {
    await using host = await FakeHost.start();
    await using _ = await start(provider("one"), host);
    const { plugin, context } = consumer();
    await using __ = await start(plugin, host);
    const answer = await (await context).fetch("pages", "/some/page?x=1", { method: "POST", body: "body" });
    expect([answer.status, await answer.text()]).toEqual([201, "POST /some/page?x=1 body"]);
    await expect((await context).fetch("pages", "relative")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("a client under a host of the Go library", () => {
  test("discovers the provider once, and again when the watch says something", async () => {
    await using host = await FakeHost.start({ goLike: true });
    await using first = await start(provider("one"), host);
    const { plugin, context } = consumer();
    await using _ = await start(plugin, host);
    const client = (await context).client("echo");
    await host.untilTrue(() => host.openWatches === 2);
    await client.say({ text: "1" });
    await client.say({ text: "2" });
    expect(host.named("DiscoverService")).toHaveLength(1);
    expect(host.named(`/services/echo/${first.runtimeId}/Say`)).toHaveLength(2);
    expect(host.calls.every(({ httpVersion }) => httpVersion !== "2")).toBe(true);
    const told = deferred();
    (await context).onDependency("echo", ({ state }) => state === "degraded" && told.resolve());
    host.tell("echo", "DEGRADED", "slow");
    await told.promise;
    await client.say({ text: "3" });
    expect(host.named("DiscoverService")).toHaveLength(2);
  });

  test("forgets a provider that is not there any more", async () => {
    await using host = await FakeHost.start({ goLike: true });
    await using _ = await start(provider("one"), host);
    const { plugin, context } = consumer();
    await using __ = await start(plugin, host);
    const client = (await context).client("echo");
    await client.say({ text: "1" });
    // The provider has another id now, and nobody has told.
    for (const [id, registration] of host.registrations)
      host.registrations.set(id, { ...registration, runtimeId: "moved" });
    await expect(client.say({ text: "2" })).rejects.toMatchObject({ code: Code.NotFound });
    expect(await client.say({ text: "3" })).toMatchObject({ text: "3" });
  });

  test("shakes hands for calls through the router if its identity was given to it", async () => {
    await using host = await FakeHost.start({ goLike: true });
    await using _ = await start(provider("one"), host);
    const { plugin, context } = consumer();
    await using running = await servePlugin(plugin, { env: {} });
    await host.manage(running.url, { runtimeId: "consumer-given" });
    expect(await (await context).client("echo").say({ text: "hi" })).toMatchObject({ provider: "one" });
    const reports = host.named("ReportHealth").map((call) => call.runtimeId);
    expect(reports).toContain("consumer-given");
    const routed = host.calls.find(({ name }) => name.endsWith("/Say"));
    expect(routed?.runtimeId).not.toBe("consumer-given");
    expect(running.runtimeId).toBe("consumer-given");
  });

  test("says that streams in both directions cannot work there", async () => {
    await using host = await FakeHost.start({ goLike: true });
    await using _ = await start(provider("one"), host);
    const { plugin, context } = consumer();
    await using __ = await start(plugin, host);
    async function* none() {}
    const read = async () => {
      for await (const _ of (await context).client("echo").bidiStream(none())) return;
    };
    await expect(read()).rejects.toMatchObject({ code: Code.Unimplemented });
  });
});

describe("calls before there is an identity", () => {
  test("wait for it", async () => {
    await using host = await FakeHost.start();
    await using _ = await start(provider("one"), host);
    const { plugin, context } = consumer();
    await using running = await servePlugin(plugin, { env: {} });
    const answer = (await context).client("echo").say({ text: "early" });
    await host.manage(running.url);
    expect(await answer).toMatchObject({ text: "early" });
  });

  test("wait for the next one when the host does not know the plugin any more", async () => {
    await using host = await FakeHost.start();
    await using _ = await start(provider("one"), host);
    const { plugin, context } = consumer();
    const lost = deferred();
    await using running = await servePlugin(plugin, {
      env: {},
      onEvent: ({ kind }) => kind === "host-lost" && lost.resolve(),
    });
    const runtimeId = await host.manage(running.url);
    await running.registered;
    host.identities.delete(runtimeId);
    const client = (await context).client("echo");
    await expect(client.say({ text: "unknown" })).rejects.toMatchObject({ code: Code.Unauthenticated });
    await lost.promise;
    const answer = client.say({ text: "waits" });
    await host.manage(running.url);
    expect(await answer).toMatchObject({ text: "waits" });
  });

  test("wait no longer than the option says", async () => {
    const clock = manualClock();
    const { plugin, context } = consumer({ identityWaitMs: 3_000 });
    await using _ = await servePlugin(plugin, { env: {}, clock });
    const call = (await context).client("echo").say({ text: "early" });
    const refused = expect(call).rejects.toMatchObject({
      code: Code.Unavailable,
      message: expect.stringContaining("3000 ms"),
    });
    // The call gets to its wait in a few turns of the event loop.
    while (!clock.delays().includes(3_000)) await new Promise(setImmediate);
    clock.advance(3_000);
    await refused;
  });

  test("end when the plugin stops", async () => {
    const { plugin, context } = consumer();
    const running = await servePlugin(plugin, { env: {} });
    const call = (await context).client("echo").say({ text: "early" });
    const refused = expect(call).rejects.toMatchObject({ code: Code.Unavailable });
    await running.stop();
    await refused;
  });
});

describe("the state of a dependency", () => {
  test("is told at first, at each change, and not when nothing changed", async () => {
    await using host = await FakeHost.start();
    const { plugin, context } = consumer();
    const states: DependencyState[] = [];
    const news = deferred();
    await using _ = await start(plugin, host);
    const off = (await context).onDependency("echo", (state) => {
      states.push(state);
      if (states.length === 4) news.resolve();
    });
    await host.untilTrue(() => host.openWatches === 2);
    await using __ = await start(provider("one"), host);
    const turn = () => new Promise(setImmediate);
    while (states.length === 0) await turn();
    for (const [state, reason] of [
      ["AVAILABLE", ""],
      ["AVAILABLE", ""],
      ["DEGRADED", "slow"],
      ["UNAVAILABLE", "gone"],
    ] as const) {
      host.tell("echo", state, reason);
      // Long enough for the message to arrive, so that the next one does not take its place.
      for (let turns = 0; turns < 50; turns++) await turn();
      while (state !== "UNAVAILABLE" && states.at(-1)?.state !== state.toLowerCase()) await turn();
    }
    await news.promise;
    expect(states).toEqual([
      { state: "unavailable", reason: "" },
      { state: "available", reason: "" },
      { state: "degraded", reason: "slow" },
      { state: "unavailable", reason: "gone" },
    ]);
    let late: DependencyState | undefined;
    (await context).onDependency("echo", (state) => {
      late = state;
    });
    expect(late).toEqual({ state: "unavailable", reason: "gone" });
    off();
  });

  test("becomes unavailable while the host is away, and is told again when it is back", async () => {
    await using host = await FakeHost.start();
    const { plugin, context } = consumer();
    const seen: string[] = [];
    let look: () => void = () => {};
    const until = (text: string) =>
      new Promise<void>((resolve) => {
        look = () => seen.includes(text) && resolve();
        look();
      });
    await using _ = await start(plugin, host);
    (await context).onDependency("echo", ({ state, reason }) => {
      seen.push(`${state} ${reason}`);
      look();
    });
    await until("unavailable ");
    host.tell("echo", "AVAILABLE");
    await until("available ");
    await host.kill();
    await until("unavailable no connection to the host");
    seen.length = 0;
    host.forget();
    await host.listen();
    await until("unavailable ");
    expect(host.named("WatchService").length).toBeGreaterThan(2);
  });
});

test("a watch is opened again as soon as there is a new identity, without waiting for its own next try", async () => {
  await using host = await FakeHost.start();
  const { plugin } = consumer();
  // Time stands still, so nothing is ever tried again because of time alone.
  await using running = await servePlugin(plugin, { env: {}, clock: manualClock() });
  await host.manage(running.url);
  await host.untilTrue(() => host.openWatches === 2);
  host.endWatches();
  await host.untilTrue(() => host.openWatches === 0);
  await host.manage(running.url);
  await host.untilTrue(() => host.openWatches === 2);
});

test("when everything has stopped, no socket and no timer is left", async () => {
  const resources = () =>
    process
      .getActiveResourcesInfo()
      .filter((name) => /Wrap|Timeout/.test(name))
      .sort();
  const before = resources();
  {
    await using host = await FakeHost.create();
    const hostUrl = await host.listenTcp();
    const one = await servePlugin(provider("one"), { hostUrl, env: {} });
    const { plugin, context } = consumer();
    const two = await servePlugin(plugin, { hostUrl, env: {} });
    const client = (await context).client("echo");
    await client.say({ text: "hi" });
    async function* once() {
      yield { text: "hi" };
    }
    for await (const _ of client.bidiStream(once()));
    await Promise.all([one.stop(), two.stop()]);
    await expect(client.say({ text: "late" })).rejects.toMatchObject({ code: Code.Unavailable });
  }
  // Sockets that were destroyed close in the next turns.
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  const left = resources();
  for (const name of before) if (left.includes(name)) left.splice(left.indexOf(name), 1);
  expect(left).toEqual([]);
});

test("names that were not declared are refused at run time too", async () => {
  const { plugin, context } = consumer();
  await using _ = await servePlugin(plugin, { env: {} });
  const untyped = (await context) as unknown as { client(type: string): unknown };
  expect(() => untyped.client("loger")).toThrow(/requires.*"loger"/);
  expect(() => untyped.client("pages")).toThrow(/requires.pages.service/);
});
