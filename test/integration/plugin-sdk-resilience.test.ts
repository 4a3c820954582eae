import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import { Platform } from "../../src/index.js";
import { deferred } from "../../src/internal/deferred.js";
import { notSentField } from "../../src/model/not-sent.js";
import { definePlugin, type PluginContext, servePlugin } from "../../src/plugin/index.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startHost } from "../support/host.js";
import { echoPlugin } from "../support/plugins.js";
import { type RunningCaller, startCaller, type Way, ways } from "../support/running-caller.js";

const clientOf = ({ context }: RunningCaller, name = "echo"): Client<typeof Echo> =>
  context.client(name as never) as Client<typeof Echo>;

/** Providers in the same way as their callers. */
async function addEcho(
  way: Way,
  host: Awaited<ReturnType<typeof startHost>>,
  options: Parameters<typeof echoPlugin>[0],
) {
  const plugin = echoPlugin(options);
  if (way === "in process") return (await host.platform.addPlugin({ module: plugin })).runtimeId;
  const link = way === "over HTTP" ? "off" : "auto";
  const running = await servePlugin(plugin, { env: {}, hostUrl: host.url, link, graceMs: 1_000 });
  onTestFinished(() => running.stop({ graceMs: 0 }));
  return running.runtimeId as string;
}

/** Calls as fast as answers come until it is stopped. */
function load(client: Client<typeof Echo>) {
  const providers = new Set<string>();
  const failures: unknown[] = [];
  let calls = 0;
  let on = true;
  const one = async (): Promise<void> => {
    while (on) {
      await client.say({ text: "x" }).then(
        ({ provider }) => providers.add(provider),
        (error: unknown) => failures.push(error),
      );
      calls += 1;
      await new Promise(setImmediate);
    }
  };
  const all = Promise.all([one(), one(), one(), one()]);
  return {
    providers,
    failures,
    async stop() {
      on = false;
      await all;
      return calls;
    },
    async atLeast(more: number) {
      const until = calls + more;
      while (calls < until) await new Promise(setImmediate);
    },
  };
}

describe.each(ways)("a client %s", (way) => {
  test("goes on by itself while its provider is replaced under load", async () => {
    await using host = await startHost();
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin({ version: "1.0.0" }) });
    await using caller = await startCaller(way, host, { echo: { service: Echo } });
    const running = load(clientOf(caller));
    await running.atLeast(20);
    await host.platform.replacePlugin(runtimeId, { module: echoPlugin({ version: "2.0.0" }) });
    await running.atLeast(20);
    await running.stop();
    expect(running.failures).toEqual([]);
    expect([...running.providers]).toEqual(["echo@1.0.0", "echo@2.0.0"]);
  });

  test("fails over to another provider, and finds one that comes back", async () => {
    await using host = await startHost();
    const one = await addEcho(way, host, { id: "one" });
    await addEcho(way, host, { id: "two" });
    await using caller = await startCaller(way, host, { echo: { service: Echo } });
    const running = load(clientOf(caller));
    await running.atLeast(20);
    await host.platform.removePlugin(one);
    running.providers.clear();
    await running.atLeast(20);
    expect([...running.providers]).toEqual(["two@1.0.0"]);
    await addEcho(way, host, { id: "one" });
    while (!running.providers.has("one@1.0.0")) await running.atLeast(1);
    await running.stop();
    expect(running.failures).toEqual([]);
  });

  test("makes calls again that the host has passed to nobody, whatever the method says of repeating", async () => {
    await using host = await startHost();
    let provider: PluginContext | undefined;
    let said = 0;
    await host.platform.addPlugin({
      module: echoPlugin({
        onSetup: (context) => {
          provider = context;
        },
        onSay: () => {
          said += 1;
        },
      }),
    });
    const retried: ConnectError[] = [];
    const resilience = {
      retry: {
        firstDelayMs: 0,
        // It was a refusal that asks to come back in a second.
        onRetry: ({ error }: { error: ConnectError }) => {
          retried.push(error);
          provider?.reportHealth("healthy");
        },
      },
    };
    await using caller = await startCaller(way, host, { echo: { service: Echo, resilience } });
    const sick = host.next("health", ({ health }) => health.state === "unhealthy");
    provider?.reportHealth("unhealthy", "a pause");
    await sick;
    expect((await clientOf(caller).say({ text: "b" })).text).toBe("b");
    expect(retried.map(({ code, metadata }) => [code, metadata.get(notSentField)])).toEqual([
      [Code.Unavailable, caller.runtimeId],
    ]);
    expect(said).toBe(1);
  });

  test("degrades its plugin when a required dependency is lost, and recovers", async () => {
    await using host = await startHost();
    const provider = await addEcho(way, host, {});
    await using caller = await startCaller(way, host, { echo: { service: Echo } });
    const told: string[] = [];
    caller.context.onDependencyLost("echo" as never, () => told.push("lost"));
    caller.context.onDependencyBack("echo" as never, () => told.push("back"));
    const healthOf = () => host.platform.plugins().find(({ runtimeId }) => runtimeId === caller.runtimeId)?.health;
    const reasonOf = () => host.platform.plugins().find(({ runtimeId }) => runtimeId === caller.runtimeId)?.reason;
    await host.until(() => healthOf() === "healthy");
    await host.platform.removePlugin(provider);
    await host.until(() => healthOf() === "degraded");
    expect(reasonOf()).toMatch(/^echo is unavailable/);
    await addEcho(way, host, {});
    await host.until(() => healthOf() === "healthy");
    expect(told).toEqual(["lost", "back"]);
  });

  test("goes to the first of several service types that is there, and to the next when that is lost", async () => {
    await using host = await startHost();
    const fast = await addEcho(way, host, { id: "fast", type: "fast" });
    await addEcho(way, host, { id: "slow", type: "slow" });
    await using caller = await startCaller(way, host, { echo: { service: Echo, anyOf: ["fast", "slow"] } });
    const client = clientOf(caller);
    const known = deferred<unknown>();
    caller.context.onDependency("echo" as never, known.resolve);
    await known.promise;
    const goesTo = async (provider: string): Promise<void> => {
      while ((await client.say({ text: "" }).catch(() => undefined))?.provider !== provider)
        await new Promise(setImmediate);
    };
    await goesTo("fast@1.0.0");
    await host.platform.removePlugin(fast);
    await goesTo("slow@1.0.0");
    const healthOf = () => host.platform.plugins().find(({ runtimeId }) => runtimeId === caller.runtimeId)?.health;
    expect(healthOf()).toBe("healthy");
    await addEcho(way, host, { id: "fast", type: "fast" });
    await goesTo("fast@1.0.0");
  });

  test("opens the circuit of a provider that fails, tells of it, and closes it when the provider was replaced", async () => {
    await using host = await startHost();
    const bad = await addEcho(way, host, {
      id: "bad",
      onSay: () => {
        throw new ConnectError("broken", Code.Internal);
      },
    });
    const resilience = { circuitBreaker: { openMs: 600_000 } };
    await using caller = await startCaller(way, host, { echo: { service: Echo, resilience } });
    const client = clientOf(caller);
    for (let count = 0; count < 3; count++)
      await expect(client.say({ text: "" })).rejects.toMatchObject({ code: Code.Internal });
    expect(caller.context.circuitOf("echo" as never)).toBe("open");
    await expect(client.say({ text: "" })).rejects.toMatchObject({ cause: { code: "CIRCUIT_OPEN" } });
    const lost = deferred<unknown>();
    caller.context.onDependencyLost("echo" as never, lost.resolve);
    await host.platform.removePlugin(bad);
    await lost.promise;
    const back = deferred<unknown>();
    caller.context.onDependencyBack("echo" as never, back.resolve);
    await addEcho(way, host, { id: "good" });
    await back.promise;
    // Long before the ten minutes are over.
    expect((await client.say({ text: "" })).provider).toBe("good@1.0.0");
    expect(caller.context.circuitOf("echo" as never)).toBe("closed");
    const states = caller.events.flatMap((event) => (event.kind === "circuit" ? [event.state] : []));
    if (way !== "in process") expect(states).toEqual(["open", "half-open", "closed"]);
  });

  test("neither blames its provider for what it cannot send itself, nor tries it again", async () => {
    await using host = await startHost();
    await addEcho(way, host, {});
    let retried = 0;
    const retry = {
      isRepeatable: () => true,
      onRetry: () => {
        retried += 1;
      },
    };
    const resilience = { circuitBreaker: { failures: 1 }, retry };
    await using caller = await startCaller(way, host, { echo: { service: Echo, resilience } });
    const client = clientOf(caller);
    const badValue = { text: Object.create(null) as string };
    await expect(client.say(badValue)).rejects.toThrow(/primitive value/);
    await expect(
      client
        .serverStream({ count: 2 ** 40 })
        [Symbol.asyncIterator]()
        .next(),
    ).rejects.toThrow(/uint32/);
    const throws = async function* () {
      yield { text: "a" };
      throw new Error("my file is gone");
    };
    await expect(client.clientStream(throws())).rejects.toThrow(/my file is gone/);
    const spoils = async function* () {
      yield { text: "a" };
      yield badValue;
    };
    await expect(client.clientStream(spoils())).rejects.toThrow(/primitive value/);
    // In process there is no head.
    if (way !== "in process") {
      await expect(client.say({}, { headers: { "x-large": "x".repeat(200_000) } })).rejects.toThrow(ConnectError);
    }
    expect([caller.context.circuitOf("echo" as never), retried]).toEqual(["closed", 0]);
    expect((await client.say({ text: "well" })).text).toBe("well");
  });

  test("tells the provider the deadline that a time limit sets", async () => {
    await using host = await startHost();
    await addEcho(way, host, { onSay: () => new Promise(() => {}) });
    const resilience = { timeLimit: { timeoutMs: 40 } };
    await using caller = await startCaller(way, host, { echo: { service: Echo, resilience } });
    await expect(clientOf(caller).say({ text: "" })).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  });
});

test.each(["over HTTP", "over the link"] as const)("a client %s goes on when its host is another one", async (way) => {
  const folder = await mkdtemp(join(tmpdir(), "host-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "host.sock");
  const start = async () => {
    const platform = new Platform();
    await platform.listen({ path });
    return { platform, url: `unix:${path}` };
  };
  const first = await start();
  const link = way === "over HTTP" ? "off" : "auto";
  const backOff = { firstMs: 5, longestMs: 50 };
  const provider = await servePlugin(echoPlugin(), { env: {}, hostUrl: first.url, link, backOff });
  onTestFinished(() => provider.stop({ graceMs: 0 }));
  const retry = { maxAttempts: 100, firstDelayMs: 20, longestDelayMs: 2_000, isRepeatable: () => true, budget: false };
  await using caller = await startCaller(way, first, { echo: { service: Echo, resilience: { retry } } });
  const client = clientOf(caller);
  const before = caller.runtimeId;
  expect((await client.say({ text: "a" })).text).toBe("a");
  await first.platform.stop();
  const answer = client.say({ text: "b" });
  const second = await start();
  onTestFinished(() => second.platform.stop());
  expect((await answer).text).toBe("b");
  expect(caller.runtimeId).not.toBe(before);
});

test("plugin.fetch goes over the link while there is one, whole or in pieces in both directions", async () => {
  await using host = await startHost();
  const pages = definePlugin({
    id: "pages",
    version: "1.0.0",
    provides: { pages: { handler: "fetch" } },
    setup: () => ({
      pages: async (request) =>
        new Response(`${request.method} ${new URL(request.url).search} ${await request.text()}`),
    }),
  });
  await host.platform.addPlugin({ module: pages });
  await using caller = await startCaller("over the link", host, { pages: {} });
  const ask = async (init: RequestInit): Promise<string> =>
    (await caller.context.fetch("pages" as never, "/page?x=1", init)).text();
  const versions: string[] = [];
  host.platform.on("call", ({ httpVersion, protocol }) => versions.push(`${protocol} ${httpVersion}`));
  expect(await ask({ method: "POST", body: "whole" })).toBe("POST ?x=1 whole");
  const pieces = new ReadableStream({
    start(controller) {
      for (const text of ["in ", "pieces"]) controller.enqueue(new TextEncoder().encode(text));
      controller.close();
    },
  });
  expect(await ask({ method: "POST", body: pieces, duplex: "half" } as RequestInit)).toBe("POST ?x=1 in pieces");
  expect(await ask({})).toBe("GET ?x=1 ");
  // As links carry exchanges; over HTTP the first would be 1.1.
  expect(versions).toEqual(["http 2", "http 2", "http 2"]);
  await using plain = await startCaller("over HTTP", host, { pages: {} });
  await (await plain.context.fetch("pages" as never, "/")).text();
  expect(versions[3]).toBe("http 1.1");
});
