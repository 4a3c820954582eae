import { type Client, Code } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import { deferred } from "../../src/internal/deferred.js";
import { definePlugin, type PluginContext, servePlugin } from "../../src/plugin/index.js";
import { FakeHost } from "../support/fake-host.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startHost } from "../support/host.js";
import { echoPlugin } from "../support/plugins.js";
import { type Way, ways } from "../support/running-caller.js";

type Host = Awaited<ReturnType<typeof startHost>>;

const entry = { service: Echo, anyOf: ["fast", "slow"] } as const;
type Context = PluginContext<{ readonly echo: typeof entry }>;

/** Runs a plugin that calls one of two service types, and `setup` in it. Resolves with its context when that is done. */
async function startCaller(
  way: Way,
  host: Host,
  setup: (plugin: Context) => Promise<void> | void = () => {},
  more: { readonly resilience?: boolean } = {},
): Promise<Context> {
  const done = deferred<Context>();
  const plugin = definePlugin({
    id: "caller",
    version: "1.0.0",
    requires: { echo: { ...entry, ...more } },
    async setup(context) {
      try {
        await setup(context as Context);
        done.resolve(context as Context);
      } catch (error) {
        done.reject(error);
      }
    },
  });
  if (way === "in process") await host.platform.addPlugin({ module: plugin });
  else {
    const link = way === "over HTTP" ? "off" : "auto";
    const running = await servePlugin(plugin, { env: {}, hostUrl: host.url, link, graceMs: 500 });
    onTestFinished(() => running.stop({ graceMs: 0 }));
  }
  return done.promise;
}

async function* once(text: string) {
  yield { text };
}

/** One call of each kind; what each has answered. */
async function callsOfEachKind(client: Client<typeof Echo>): Promise<string[]> {
  const texts = [(await client.say({ text: "unary" })).text];
  for await (const { text } of client.serverStream({ text: "server", count: 1 })) texts.push(text);
  texts.push((await client.clientStream(once("client"))).text);
  for await (const { text } of client.bidiStream(once("bidi"))) texts.push(text);
  return texts;
}

const eachKind = ["unary", "server", "client", "bidi"];

describe.each(ways)("a client of several service types %s", (way) => {
  test("calls the one that is there in its setup already, with calls of every kind", async () => {
    await using host = await startHost();
    await host.platform.addPlugin({ module: echoPlugin({ type: "slow" }) });
    const answered: string[] = [];
    await startCaller(way, host, async (plugin) => {
      answered.push(...(await callsOfEachKind(plugin.client("echo"))));
    });
    expect(answered).toEqual(eachKind);
  });

  test("goes there with its very first stream, and with its very first request of any other kind", async () => {
    await using host = await startHost();
    await host.platform.addPlugin({ module: echoPlugin({ type: "slow" }) });
    const answered: string[] = [];
    await startCaller(way, host, async (plugin) => {
      const client = plugin.client("echo");
      for await (const { text } of client.serverStream({ text: "server", count: 1 })) answered.push(text);
    });
    await startCaller(way, host, async (plugin) => {
      answered.push((await plugin.client("echo").clientStream(once("client"))).text);
    });
    await startCaller(way, host, async (plugin) => {
      for await (const { text } of plugin.client("echo").bidiStream(once("bidi"))) answered.push(text);
    });
    expect(answered).toEqual(eachKind.slice(1));
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: '{"text":"a"}' };
    await startCaller(way, host, async (plugin) => {
      expect(await (await plugin.fetch("echo", "/Say", init)).json()).toMatchObject({ provider: "echo@1.0.0" });
    });
  });

  test("fails no call while one of the two is there, whichever comes and goes", async () => {
    await using host = await startHost();
    await host.platform.addPlugin({ module: echoPlugin({ id: "slow", type: "slow" }) });
    const plugin = await startCaller(way, host);
    const client = plugin.client("echo");
    const failures: unknown[] = [];
    const sayers: string[] = [];
    let calls = 0;
    let on = true;
    const unary = async (): Promise<void> => {
      while (on) {
        await client.say({ text: "a" }).then(
          ({ provider }) => sayers.push(provider),
          (error: unknown) => failures.push(error),
        );
        calls += 1;
        await new Promise(setImmediate);
      }
    };
    const streams = async (): Promise<void> => {
      while (on) {
        try {
          for await (const _ of client.serverStream({ text: "a", count: 1 }));
        } catch (error) {
          failures.push(error);
        }
        await new Promise(setImmediate);
      }
    };
    const load = Promise.all([unary(), unary(), streams()]);
    const more = async (): Promise<void> => {
      const until = calls + 20;
      while (calls < until) await new Promise(setImmediate);
    };
    const until = async (provider: string): Promise<void> => {
      sayers.length = 0;
      while (!sayers.includes(provider)) await new Promise(setImmediate);
    };
    for (let round = 0; round < 3; round++) {
      const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin({ id: "fast", type: "fast" }) });
      await until("fast@1.0.0");
      await more();
      // At once, so that calls come that know nothing of it yet.
      await host.platform.removePlugin(runtimeId, { limits: { graceMs: 0, drainMs: 5_000 } });
      await until("slow@1.0.0");
    }
    on = false;
    await load;
    expect(failures).toEqual([]);
  });

  test("says what is missing when none of them is there", async () => {
    await using host = await startHost();
    const plugin = await startCaller(way, host);
    await expect(plugin.client("echo").say({ text: "a" })).rejects.toMatchObject({
      code: Code.NotFound,
      rawMessage: expect.stringContaining('no plugin provides "fast"'),
    });
    expect((await plugin.fetch("echo", "/Say", { method: "POST", body: "{}" })).status).toBe(404);
  });

  test("does so with all the policies of resilience, which count for whoever was called", async () => {
    await using host = await startHost();
    await host.platform.addPlugin({ module: echoPlugin({ type: "slow" }) });
    const plugin = await startCaller(
      way,
      host,
      async (context) => {
        expect(await callsOfEachKind(context.client("echo"))).toEqual(eachKind);
      },
      { resilience: true },
    );
    expect(plugin.circuitOf("echo")).toBe("closed");
  });
});

test("a client of several service types finds the one that is there under a host that only has discovery", async () => {
  await using host = await FakeHost.start({ goLike: true });
  const provider = await servePlugin(echoPlugin({ type: "slow" }), { hostUrl: host.url, env: {} });
  onTestFinished(() => provider.stop({ graceMs: 0 }));
  const answer = deferred<string>();
  const caller = definePlugin({
    id: "caller",
    version: "1.0.0",
    requires: { echo: entry },
    async setup(plugin) {
      const { provider } = await plugin.client("echo").say({ text: "a" });
      answer.resolve(provider);
    },
  });
  const running = await servePlugin(caller, { hostUrl: host.url, env: {} });
  onTestFinished(() => running.stop({ graceMs: 0 }));
  expect(await answer.promise).toBe("echo@1.0.0");
});
