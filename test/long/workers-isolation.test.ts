import { mkdtemp, rm, writeFile } from "node:fs/promises";
import inspector from "node:inspector";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import type { Platform, PluginHostError, PluginView, WorkerSource } from "../../src/index.js";
import { definePlugin } from "../../src/plugin/index.js";
import { builtExamples } from "../support/built-examples.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { openThreads, quietPlatform, untilThreadsEnd, workerProbe } from "../support/workers.js";

beforeAll(() => void builtExamples(), 60_000);

const quick: Partial<WorkerSource> = { watchdogMs: 400 };

/** A platform with a probe in a worker, and the way to make it do something. */
async function startProbe(given: Partial<WorkerSource> = {}) {
  const platform = quietPlatform({
    ingress: [{ prefix: "/open", type: "probe", access: "open" }],
    limits: { graceMs: 0, drainMs: 100 },
  });
  await platform.listen({ port: 0 });
  const probe = await platform.addPlugin(workerProbe(given));
  const act = (what: string): Promise<number> => fetch(`${platform.url}/open/${what}`).then(({ status }) => status);
  return { platform, probe, act };
}

/** Resolves with the view of the plugin once it has ended, or was ended. */
function untilEnded(platform: Platform, { runtimeId }: PluginView): Promise<PluginView> {
  return new Promise((resolve) => {
    platform.on("health", ({ runtimeId: whose, health }) => {
      if (whose === runtimeId && health.cause === "exit") resolve(platform.plugin(runtimeId) as PluginView);
    });
  });
}

test.each<{ what: string; reason: RegExp; given?: Partial<WorkerSource>; why: string }>([
  { what: "loop", reason: /^it answered nothing for 400 ms/, given: quick, why: "an endless loop" },
  { what: "wait", reason: /^it answered nothing for 400 ms/, given: quick, why: "a wait that gives no way" },
  {
    what: "heap",
    reason: /^it has filled its JavaScript heap/,
    given: { resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 } },
    why: "a heap that is full",
  },
  {
    what: "buffers?with=64",
    reason: /^it held \d+ bytes outside of its heap/,
    given: { watchdogMs: 400, maxBufferMb: 32 },
    why: "buffers beyond the limit",
  },
  { what: "exit?with=3", reason: /^it ended its thread with code 3/, why: "process.exit" },
  { what: "exit?with=0", reason: /^it ended its thread with code 0/, why: "process.exit as if all were well" },
  { what: "throw", reason: /^it threw what nobody caught: thrown in a timer/, why: "an error in a timer" },
  { what: "reject", reason: /^it threw what nobody caught: rejected, and nobody looks/, why: "an unhandled rejection" },
])("$why ends the worker alone, and the reason is told", async ({ what, reason, given }) => {
  const { platform, probe, act } = await startProbe(given);
  const other = definePlugin({
    id: "other",
    version: "1.0.0",
    provides: { other: { service: Echo } },
    setup: () => ({ other: { say: () => ({ text: "here" }) } as never }),
  });
  await platform.addPlugin({ module: other });
  const ended = untilEnded(platform, probe);
  const answer = act(what).catch(() => 0);
  const view = await ended;
  expect(view.reason).toMatch(reason);
  expect(view.health).toBe("unhealthy");
  await answer;
  expect(await platform.client(Echo, { type: "other" }).say({})).toMatchObject({ text: "here" });
  await platform.removePlugin(probe.runtimeId);
  const again = await platform.addPlugin(workerProbe());
  expect(await platform.client(Echo, { type: "echo" }).say({})).toMatchObject({ provider: again.runtimeId });
});

test("a worker that ends in the middle of an answer leaves its caller with unavailable, never with an end", async () => {
  const { platform, act } = await startProbe({ env: { STREAM_MS: "5" } });
  let answers = 0;
  const reading = (async () => {
    for await (const _ of platform.client(Echo, { type: "echo" }).serverStream({ text: "x", count: 1_000_000 })) {
      answers += 1;
      if (answers === 3) void act("exit?with=1").catch(() => {});
    }
    return "a clean end";
  })();
  const outcome = await reading.catch((error: unknown) => ConnectError.from(error).code);
  expect(outcome).toBe(Code.Unavailable);
  expect(answers).toBeGreaterThanOrEqual(3);
});

test("a call that is never answered is its caller's matter, and the worker goes on", async () => {
  const { platform, act, probe } = await startProbe(quick);
  const gone = new AbortController();
  const waiting = fetch(`${platform.url}/open/never`, { signal: gone.signal }).catch(() => "gone");
  expect(await act("look")).toBe(200);
  gone.abort();
  expect(await waiting).toBe("gone");
  expect(platform.plugin(probe.runtimeId)?.health).toBe("healthy");
});

test("nobody is ended while the process can be debugged, as a halt at a breakpoint looks like a loop", async () => {
  const { platform, act, probe } = await startProbe(quick);
  inspector.open(0, "127.0.0.1");
  onTestFinished(() => inspector.close());
  const ended = untilEnded(platform, probe);
  const answer = act("loop").catch(() => 0);
  const isOver = ended.then(() => "ended");
  // Three times what would be too long.
  const stillThere = new Promise((resolve) => setTimeout(resolve, 1_200, "there"));
  expect(await Promise.race([isOver, stillThere])).toBe("there");
  inspector.close();
  expect((await ended).reason).toMatch(/^it answered nothing for 400 ms/);
  await answer;
});

test("without a watchdog a worker may be silent as long as it likes, and stopping ends it all the same", async () => {
  const { platform, act, probe } = await startProbe({ watchdogMs: false });
  const answer = act("loop").catch(() => 0);
  const startedAt = performance.now();
  await platform.removePlugin(probe.runtimeId, { limits: { shutdownMs: 300 } });
  expect(performance.now() - startedAt).toBeLessThan(1_500);
  await answer;
});

test.each([
  { env: { STAY: "1" }, why: "has a timer left" },
  { env: { HANG: "1" }, why: "has an onStop that never ends" },
])("removing a worker that $why leaves nothing behind", async ({ env }) => {
  const before = openThreads();
  const { platform, probe } = await startProbe({ env });
  const warnings: unknown[] = [];
  platform.on("warning", (warning) => warnings.push(warning));
  await platform.removePlugin(probe.runtimeId, { limits: { shutdownMs: 400 } });
  await untilThreadsEnd(before);
  expect(warnings).toEqual([]);
});

test.each<{ why: string; text?: string; given?: Partial<WorkerSource>; code: string; message: RegExp }>([
  { why: "is not there", code: "PLUGIN_FAILED", message: /plugin\.mjs cannot be loaded: there is no such file/ },
  {
    why: "has a syntax error",
    text: "export default {;\n",
    code: "PLUGIN_FAILED",
    message: /plugin\.mjs cannot be loaded: Unexpected token/,
  },
  {
    why: "imports what is not there",
    text: 'import "./nothing.mjs";\n',
    code: "PLUGIN_FAILED",
    message: /cannot be loaded: Cannot find module .*nothing\.mjs/,
  },
  {
    why: "throws",
    text: 'console.log("so far"); throw new Error("no");\n',
    code: "PLUGIN_FAILED",
    message: /cannot be loaded: no/,
  },
  {
    why: "holds no plugin",
    text: "export const plugin = 1;\n",
    code: "INVALID_ARGUMENT",
    message: /^worker .*plugin\.mjs must have what definePlugin returns as its default export/,
  },
  { why: "exits", text: "process.exit(5);\n", code: "PLUGIN_EXITED", message: /ended its thread with code 5/ },
  {
    why: "waits for what never comes",
    text: "await new Promise(() => {});\n",
    code: "PLUGIN_EXITED",
    message: /ended its thread with code 13/,
  },
  {
    why: "loops",
    text: "export default { startInWorker: () => { for (;;); } };\n",
    given: { watchdogMs: 200 },
    code: "PLUGIN_UNRESPONSIVE",
    message: /answered nothing for 200 ms and was ended/,
  },
  {
    why: "sends what is no link",
    text: 'export default { startInWorker: ({ port }) => { setInterval(() => {}, 1_000); port.postMessage(new TextEncoder().encode("hello, host")); return { ended: new Promise(() => {}) }; } };\n',
    code: "PLUGIN_PROTOCOL",
    message: /broke its link/,
  },
])("a module that $why does not start, and the error says so", async ({ text, given, code, message }) => {
  const folder = await mkdtemp(join(tmpdir(), "worker-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const worker = join(folder, "plugin.mjs");
  if (text !== undefined) await writeFile(worker, text);
  const platform = quietPlatform();
  const before = openThreads();
  const error = await failureOf(platform.addPlugin({ worker, ...given }));
  expect(error).toMatchObject({ code, step: "describe" });
  expect(error.message).toMatch(message);
  expect(platform.plugins()).toEqual([]);
  await untilThreadsEnd(before);
});

test("a module whose setup fails does not start", async () => {
  const error = await failureOf(quietPlatform().addPlugin(workerProbe({ env: { FAIL: "setup" } })));
  expect(error).toMatchObject({ code: "PLUGIN_FAILED" });
  expect(error.message).toMatch(/setup of probe failed: no luck/);
});

test("a start that is called off leaves no thread", async () => {
  const platform = quietPlatform();
  const before = openThreads();
  const calledOff = new AbortController();
  platform.on("step", ({ step, state }) => {
    if (step === "describe" && state === "started") setImmediate(() => calledOff.abort());
  });
  const error = await failureOf(platform.addPlugin({ ...workerProbe(), signal: calledOff.signal }));
  expect(error.code).toBe("OPERATION_ABORTED");
  await untilThreadsEnd(before);
});

async function failureOf(work: Promise<unknown>): Promise<PluginHostError> {
  return work.then(
    () => {
      throw new Error("it should have failed");
    },
    (error: PluginHostError) => error,
  );
}
