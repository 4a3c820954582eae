import { Code, ConnectError } from "@connectrpc/connect";
import { expect, onTestFinished, test } from "vitest";
import { Platform } from "../../src/index.js";
import { definePlugin, servePlugin } from "../../src/plugin/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";

const echo = (version = "1.0.0", type = "echo") =>
  definePlugin({
    id: `${type}-plugin`,
    version,
    provides: { [type]: { service: Echo, version } },
    setup: () => ({ [type]: echoOnly(version) }),
  });

function platform(): Platform {
  const made = new Platform({ stopBudgetMs: 1_000 });
  onTestFinished(() => made.stop());
  return made;
}

async function* requests(...texts: string[]) {
  for (const text of texts) yield { text };
}

test.each(["module", "endpoint"] as const)(
  "the host's own code calls a plugin (%s) in all four ways with no port open",
  async (way) => {
    const host = platform();
    if (way === "module") await host.addPlugin({ module: echo() });
    else {
      const served = await servePlugin(echo(), { env: {} });
      onTestFinished(() => served.stop());
      // A plugin outside the process has to be told where the host is: a mounted handler says so.
      const mounted = new Platform({ publicUrl: "http://127.0.0.1:1", stopBudgetMs: 1_000 });
      onTestFinished(() => mounted.stop());
      await expect(host.addPlugin({ endpoint: served.url })).rejects.toMatchObject({ code: "HOST_URL_UNKNOWN" });
      await mounted.addPlugin({ endpoint: served.url });
      return callAllKinds(mounted);
    }
    expect(host.url).toBeUndefined();
    return callAllKinds(host);
  },
);

async function callAllKinds(host: Platform): Promise<void> {
  const client = host.client(Echo);
  expect(await client.say({ text: "hi" })).toMatchObject({ text: "hi", provider: "1.0.0" });
  const parts: number[] = [];
  for await (const { index } of client.serverStream({ text: "x", count: 3 })) parts.push(index);
  expect(parts).toEqual([0, 1, 2]);
  expect(await client.clientStream(requests("a", "b", "c"))).toMatchObject({ text: "abc", count: 3 });
  const echoed: string[] = [];
  for await (const { text } of client.bidiStream(requests("a", "b"))) echoed.push(text);
  expect(echoed).toEqual(["a", "b"]);
}

test("both directions of a stream are open at once", async () => {
  const host = platform();
  await host.addPlugin({ module: echo() });
  let send: (text: string) => void = () => {};
  async function* questions() {
    for (const first of ["1", "2", "3"]) {
      yield { text: first };
      await new Promise<void>((resolve) => {
        send = () => resolve();
      });
    }
  }
  const answers: string[] = [];
  for await (const { text } of host.client(Echo).bidiStream(questions())) {
    answers.push(text);
    send(text);
  }
  expect(answers).toEqual(["1", "2", "3"]);
});

test("every call finds a provider of its own, and follows a replacement", async () => {
  const host = platform();
  const before = await host.addPlugin({ module: echo("1.0.0") });
  const client = host.client(Echo);
  expect((await client.say({})).provider).toBe("1.0.0");
  await host.replacePlugin(before.runtimeId, { module: echo("1.1.0") });
  expect((await client.say({})).provider).toBe("1.1.0");
});

test("minVersion and type narrow who is called", async () => {
  const host = platform();
  await host.addPlugins([{ module: echo("1.0.0") }, { module: echo("3.0.0", "other") }]);
  expect((await host.client(Echo, { type: "other" }).say({})).provider).toBe("3.0.0");
  expect((await host.client(Echo, { type: "echo", minVersion: "^1" }).say({})).provider).toBe("1.0.0");
});

test("without a provider the call fails and says so, and works as soon as there is one", async () => {
  const host = platform();
  const client = host.client(Echo);
  const error = await Promise.resolve()
    .then(() => client.say({}))
    .catch((reason: unknown) => reason);
  expect(String(error)).toContain("echo.v1.Echo");
  await host.addPlugin({ module: echo() });
  expect((await client.say({})).provider).toBe("1.0.0");
});

test("the host's own calls are named as such, and take no one's rate", async () => {
  const calls: string[] = [];
  const host = new Platform({
    callerRate: { perSecond: 0.001, burst: 1 },
    authorize: ({ caller }) => void calls.push(caller.kind),
  });
  onTestFinished(() => host.stop());
  await host.addPlugin({ module: echo() });
  for (let count = 0; count < 3; count++) await host.client(Echo).say({});
  expect(calls).toEqual(["host", "host", "host"]);
});

test("a call of the host can be called off, and after stop there are none", async () => {
  const host = platform();
  await host.addPlugin({
    module: definePlugin({
      id: "slow",
      version: "1.0.0",
      provides: { echo: { service: Echo } },
      setup: (plugin) => ({
        echo: {
          ...echoOnly("slow"),
          say: (_request, { signal }) =>
            new Promise((_resolve, reject) => {
              for (const source of [signal, plugin.signal])
                source.addEventListener("abort", () => reject(source.reason));
            }),
        },
      }),
    }),
  });
  const end = new AbortController();
  const call = host.client(Echo).say({}, { signal: end.signal });
  end.abort();
  await expect(call).rejects.toMatchObject({ code: Code.Canceled });
  await host.stop();
  await expect(Promise.resolve().then(() => host.client(Echo).say({}))).rejects.toSatisfy(
    (error: unknown) => error instanceof ConnectError || error instanceof Error,
  );
});
