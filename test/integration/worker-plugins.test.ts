import { beforeAll, expect, test } from "vitest";
import { Platform } from "../../src/index.js";
import { deferred } from "../../src/internal/deferred.js";
import { definePlugin } from "../../src/plugin/index.js";
import { builtExamples } from "../support/built-examples.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { quietPlatform, workerModule, workerProbe } from "../support/workers.js";

beforeAll(() => void builtExamples(), 60_000);

test("a module runs in a worker thread, and no port is open anywhere", async () => {
  const platform = quietPlatform();
  const view = await platform.addPlugin(workerProbe());
  expect(view).toMatchObject({ selfId: "probe", selfVersion: "1.0.0", origin: "worker", health: "healthy" });
  expect(platform.url).toBeUndefined();
  const echo = platform.client(Echo);
  expect(await echo.say({ text: "hi" })).toMatchObject({ text: "hi", provider: view.runtimeId });
  const texts: string[] = [];
  for await (const { text, index } of echo.serverStream({ text: "x", count: 3 })) texts.push(`${text}${index}`);
  expect(texts).toEqual(["x0", "x1", "x2"]);
});

test("a worker is there all the same where plugins may dial no links", async () => {
  const platform = quietPlatform({ link: false });
  await platform.addPlugin(workerProbe());
  expect(await platform.client(Echo).say({ text: "hi" })).toMatchObject({ text: "hi" });
});

test("a module in the host's process calls a worker, and a worker calls it and another worker", async () => {
  const platform = quietPlatform();
  const answers = deferred<unknown>();
  const probe = await platform.addPlugin(workerProbe());
  const relay = await platform.addPlugin({ worker: workerModule("relay") });
  expect(relay.requires).toMatchObject([{ type: "echo" }]);
  const caller = definePlugin({
    id: "caller",
    version: "1.0.0",
    requires: { relay: { service: Echo } },
    async setup(plugin) {
      const client = plugin.client("relay");
      const said = await client.say({ text: "hi" });
      const both: string[] = [];
      for await (const { text } of client.bidiStream(texts("a", "b"))) both.push(text);
      const fetched = await client.clientStream(texts("c", "d"));
      answers.resolve([said.provider, both, fetched.text]);
    },
  });
  await platform.addPlugin({ module: caller });
  expect(await answers.promise).toEqual([probe.runtimeId, ["a", "b"], "c,d"]);
});

test("a caller over plain HTTP reaches a worker through the router", async () => {
  const platform = quietPlatform({ ingress: [{ prefix: "/open", type: "probe", access: "open" }] });
  await platform.listen({ port: 0 });
  await platform.addPlugin(workerProbe({ env: { SOME: "value" }, args: ["--one", "two"] }));
  const answer = await fetch(`${platform.url}/open/look`);
  expect(answer.status).toBe(200);
  const { env, argv } = (await answer.json()) as { env: Record<string, string>; argv: string[] };
  expect(argv).toEqual(["--one", "two"]);
  expect(Object.keys(env).filter((name) => !["PATH", "HOME", "LANG", "TZ"].includes(name))).toEqual(["SOME"]);
});

test("what a worker prints comes line by line under the plugin's name", async () => {
  const platform = quietPlatform({ ingress: [{ prefix: "/open", type: "probe", access: "open" }] });
  await platform.listen({ port: 0 });
  const lines: unknown[] = [];
  const both = deferred();
  platform.on("output", ({ stream, line, selfId, runtimeId, pid }) => {
    lines.push({ stream, line, selfId, runtimeId, pid });
    if (lines.length === 2) both.resolve();
  });
  const { runtimeId } = await platform.addPlugin(workerProbe());
  await fetch(`${platform.url}/open/print?with=hello`);
  await both.promise;
  const who = { selfId: "probe", runtimeId, pid: undefined };
  expect(lines).toContainEqual({ stream: "stdout", line: "hello", ...who });
  expect(lines).toContainEqual({ stream: "stderr", line: "hello, again", ...who });
});

test("two workers are added at once, of the same module and with different names", async () => {
  const platform = quietPlatform();
  const views = await Promise.all([
    platform.addPlugin(workerProbe({ env: { SELF_ID: "one" } })),
    platform.addPlugin(workerProbe({ env: { SELF_ID: "two" } })),
  ]);
  expect(views.map(({ selfId }) => selfId)).toEqual(["one", "two"]);
  const echo = platform.client(Echo);
  const answers = await Promise.all(Array.from({ length: 20 }, () => echo.say({ text: "hi" })));
  expect(new Set(answers.map(({ provider }) => provider))).toEqual(new Set(views.map(({ runtimeId }) => runtimeId)));
});

test("moving a plugin between the host's process and a worker is a replacement, and no call fails", async () => {
  const platform = quietPlatform();
  const local = definePlugin({
    id: "probe",
    version: "1.0.0",
    provides: { echo: { service: Echo }, probe: { handler: "fetch", path: "/probe/" } },
    setup: () => ({
      echo: { say: ({ text }: { text: string }) => ({ text, provider: "local" }) } as never,
      probe: () => new Response(),
    }),
  });
  const first = await platform.addPlugin({ module: local });
  const echo = platform.client(Echo);
  let calls = 0;
  let isOver = false;
  const calling = (async () => {
    while (!isOver) {
      expect((await echo.say({ text: "hi" })).text).toBe("hi");
      calls += 1;
    }
  })();
  const second = await platform.replacePlugin(first.runtimeId, workerProbe());
  const third = await platform.replacePlugin(second.runtimeId, workerProbe());
  await platform.replacePlugin(third.runtimeId, { module: local });
  isOver = true;
  await calling;
  expect(calls).toBeGreaterThan(10);
});

test("a plugin whose identity ends can call nobody, and a new start has another", async () => {
  const platform = quietPlatform();
  await platform.addPlugin(workerProbe());
  const first = await platform.addPlugin({ worker: workerModule("relay") });
  await platform.removePlugin(first.runtimeId, { limits: { graceMs: 0 } });
  const second = await platform.addPlugin({ worker: workerModule("relay") });
  expect(second.runtimeId).not.toBe(first.runtimeId);
  expect(await platform.client(Echo, { type: "relay" }).say({ text: "hi" })).toMatchObject({ text: "hi" });
});

test("a platform stops its workers in good order", async () => {
  const platform = new Platform();
  const lines: string[] = [];
  platform.on("output", ({ line }) => lines.push(line));
  await platform.addPlugin(workerProbe());
  await platform.stop();
  expect(lines).toEqual(["stopped"]);
});

async function* texts(...list: readonly string[]) {
  for (const text of list) yield { text };
}
