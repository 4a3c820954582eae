import { type Client, Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import type { CallEvent } from "../../src/index.js";
import { type Deferred, deferred } from "../../src/internal/deferred.js";
import { definePlugin, servePlugin } from "../../src/plugin/index.js";
import { failureOf, readAll, whenAborted } from "../contract/transports/outcome.js";
import type { Echo as EchoService } from "../support/gen/echo/v1/echo_pb.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startHost, type TestHost } from "../support/host.js";
import { addModuleCaller } from "../support/module-caller.js";
import { echoPlugin } from "../support/plugins.js";

// So long that a test which waits for it fails.
const drainMs = 60_000;

/** A provider that never answers whole. `calls` are resolved as they begin; each gives the end of its signal. */
function hanging(count: number) {
  const calls: Deferred<{ readonly aborted: Promise<unknown> }>[] = Array.from({ length: count }, () => deferred());
  let next = 0;
  const begin = (signal: AbortSignal): Promise<unknown> => {
    const aborted = whenAborted(signal);
    calls[next++]?.resolve({ aborted });
    return aborted;
  };
  const plugin = definePlugin({
    id: "echo",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    setup: () => ({
      echo: {
        say: async (_: unknown, { signal }: { signal: AbortSignal }) => begin(signal),
        async *serverStream(_: unknown, { signal }: { signal: AbortSignal }) {
          yield { text: "first" };
          await begin(signal);
        },
        async *bidiStream(_: unknown, { signal }: { signal: AbortSignal }) {
          yield { text: "first" };
          await begin(signal);
        },
      } as never,
    }),
  });
  const begun = Promise.all(calls.map(({ promise }) => promise));
  return { plugin, begun, aborted: () => begun.then((all) => Promise.all(all.map(({ aborted }) => aborted))) };
}

const open = () => startHost({ limits: { graceMs: 0, drainMs, shutdownMs: 2_000 } });

type Provider = ReturnType<typeof hanging>["plugin"];

const providers: readonly {
  readonly where: string;
  add(host: TestHost, plugin: Provider): Promise<AsyncDisposable>;
}[] = [
  {
    where: "in the same process",
    async add({ platform }, plugin) {
      await platform.addPlugin({ module: plugin });
      return { [Symbol.asyncDispose]: async () => {} };
    },
  },
  {
    where: "on a link",
    async add(host, plugin) {
      const served = await servePlugin(plugin, { env: {}, hostUrl: host.url, listen: "never", graceMs: 0 });
      await host.until(() => host.platform.plugins().some(({ health }) => health === "healthy"));
      return { [Symbol.asyncDispose]: () => served.stop() };
    },
  },
  {
    where: "behind a port",
    async add({ platform }, plugin) {
      const served = await servePlugin(plugin, { env: {}, graceMs: 0, link: "off" });
      await platform.addPlugin({ endpoint: served.url });
      return { [Symbol.asyncDispose]: () => served.stop() };
    },
  },
];

async function* endless(): AsyncGenerator<{ text: string }> {
  yield { text: "one" };
  await new Promise(() => {});
}

/** One call of each kind that stays open. */
const callAll = (client: Client<typeof EchoService>) => [
  failureOf(client.say({})),
  failureOf(readAll(client.serverStream({}))),
  failureOf(readAll(client.bidiStream(endless()))),
];

test.each(providers)("calls of a module that is removed end at a provider $where", async ({ add }) => {
  await using host = await open();
  const { plugin, begun, aborted } = hanging(3);
  await using _provider = await add(host, plugin);
  const { client, view } = await addModuleCaller(host.platform);
  const outcomes = callAll(client);
  await begun;
  await host.platform.removePlugin(view.runtimeId);
  for (const { code } of await Promise.all(outcomes)) expect([Code.Canceled, Code.Unavailable]).toContain(code);
  expect(await aborted()).toHaveLength(3);
  await host.until(() => host.platform.plugins().every(({ inFlight }) => inFlight === 0));
});

test("calls of a module that is removed are accounted for as given up, and their provider goes without waiting", async () => {
  await using host = await open();
  const { plugin, begun } = hanging(3);
  const provider = await host.platform.addPlugin({ module: plugin });
  const { client, view } = await addModuleCaller(host.platform);
  const calls: CallEvent[] = [];
  host.platform.on("call", (call) => calls.push(call));
  const outcomes = callAll(client);
  await begun;
  await host.platform.removePlugin(view.runtimeId);
  const errors = await Promise.all(outcomes);
  expect(errors.map(({ code }) => code)).toEqual([Code.Canceled, Code.Canceled, Code.Canceled]);
  expect(calls.map(({ outcome, code }) => `${outcome} ${code}`)).toEqual(Array(3).fill("caller-gone canceled"));
  await host.platform.removePlugin(provider.runtimeId);
  expect(host.platform.plugins()).toEqual([]);
});

test("a platform that stops does not wait for calls of modules that have stopped", async () => {
  await using host = await open();
  const { plugin, begun } = hanging(3);
  await host.platform.addPlugin({ module: plugin });
  const { client } = await addModuleCaller(host.platform);
  const outcomes = callAll(client);
  await begun;
  await host.platform.stop();
  const errors = await Promise.all(outcomes);
  expect(errors.map(({ code }) => code)).toEqual([Code.Canceled, Code.Canceled, Code.Canceled]);
});

test("calls of a module that was replaced end when the old one has stopped", async () => {
  await using host = await open();
  const { plugin, begun, aborted } = hanging(3);
  await host.platform.addPlugin({ module: plugin });
  const { client, view } = await addModuleCaller(host.platform);
  const outcomes = callAll(client);
  await begun;
  await host.platform.replacePlugin(view.runtimeId, { module: echoPlugin({ id: "caller", type: "other" }) });
  await Promise.all(outcomes);
  expect(await aborted()).toHaveLength(3);
});

test("calls that wait for a full provider leave with a module that is removed", async () => {
  await using host = await startHost({
    limits: { graceMs: 0, drainMs, shutdownMs: 2_000 },
    router: { maxInFlightPerProvider: 1, maxQueuedPerProvider: 2 },
  });
  const { plugin, begun } = hanging(1);
  await host.platform.addPlugin({ module: plugin });
  const staying = await addModuleCaller(host.platform, { id: "staying" });
  const { client, view } = await addModuleCaller(host.platform);
  const stop = new AbortController();
  const first = failureOf(staying.client.say({}, { signal: stop.signal }));
  await begun;
  const outcomes = [failureOf(client.say({})), failureOf(readAll(client.serverStream({})))];
  await host.until(() => host.platform.plugins().some(({ waiting }) => waiting === 2));
  await host.platform.removePlugin(view.runtimeId);
  const errors = await Promise.all(outcomes);
  expect(errors.map(({ code }) => code)).toEqual([Code.Canceled, Code.Canceled]);
  expect(host.platform.plugins().map(({ waiting }) => waiting)).toEqual([0, 0]);
  stop.abort();
  await first;
});

test("the client of a module that was removed says that it is closed", async () => {
  await using host = await open();
  await host.platform.addPlugin({ module: echoPlugin() });
  const { client, view } = await addModuleCaller(host.platform);
  await client.say({});
  await host.platform.removePlugin(view.runtimeId);
  for (const call of [client.say({}), readAll(client.serverStream({}))]) {
    const { code, rawMessage } = await failureOf(call);
    expect([code, rawMessage]).toEqual([Code.Unavailable, "this client is closed"]);
  }
});
