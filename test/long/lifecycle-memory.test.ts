import { queryObjects } from "node:v8";
import { beforeAll, expect, test } from "vitest";
import type { PluginSpec, PluginView } from "../../src/index.js";
import { LivePlugin } from "../../src/lifecycle/live-plugin.js";
import { PluginStart } from "../../src/lifecycle/plugin-start.js";
import { builtExamples } from "../support/built-examples.js";
import { startHost, type TestHost } from "../support/host.js";
import { crashable, echoPlugin } from "../support/plugins.js";
import { probe } from "../support/process-plugins.js";
import { workerProbe } from "../support/workers.js";

// Compiles what the worker runs.
beforeAll(() => void builtExamples(), 60_000);

interface Way {
  readonly name: string;
  readonly times: number;
  readonly source: () => PluginSpec;
  /** Ends the plugin as a mistake in its code would. */
  readonly crash: (host: TestHost, plugin: PluginView) => unknown;
}

const module = crashable(echoPlugin());

const ways: readonly Way[] = [
  { name: "a module", times: 50, source: () => ({ module }), crash: () => module.crash() },
  {
    name: "a module in a worker thread",
    times: 4,
    source: () => workerProbe(),
    crash: (host) => fetch(`${host.url}/open/exit`).catch(() => {}),
  },
  {
    name: "a child process",
    times: 4,
    source: () => probe(),
    crash: (_host, { pid }) => process.kill(pid as number, "SIGKILL"),
  },
];

const startQuickHost = (): Promise<TestHost> =>
  startHost({
    limits: { graceMs: 0 },
    supervision: { firstDelayMs: 1, maxDelayMs: 1, maxCrashes: 1_000 },
    ingress: [{ prefix: "/open", type: "probe", access: "open" }],
  });

/** Looks what is in memory when everything was freed that nothing holds. */
async function expectNoMoreInMemoryThanRuns(): Promise<void> {
  // What has just ended is let go by callbacks that are on their way.
  for (let turns = 0; turns < 3; turns += 1) await new Promise(setImmediate);
  // One that runs, and the one before it, whose end somebody may still be told of.
  expect(queryObjects(LivePlugin)).toBeLessThanOrEqual(2);
  expect(queryObjects(PluginStart)).toBeLessThanOrEqual(2);
}

test.each(ways)("$name that is replaced again and again leaves nothing of its past in memory", async (way) => {
  await using host = await startQuickHost();
  let { runtimeId } = await host.platform.addPlugin(way.source());
  for (let count = 0; count < way.times; count += 1) {
    ({ runtimeId } = await host.platform.replacePlugin(runtimeId, way.source()));
  }
  expect(host.platform.plugins()).toHaveLength(1);
  await expectNoMoreInMemoryThanRuns();
});

test.each(ways)("$name that crashes again and again leaves nothing of its past in memory", async (way) => {
  await using host = await startQuickHost();
  await host.platform.addPlugin(way.source());
  for (let count = 0; count < way.times; count += 1) {
    const runsAgain = host.next("supervision", ({ supervision }) => supervision.kind === "running");
    await way.crash(host, host.platform.plugins()[0] as PluginView);
    await runsAgain;
  }
  expect(host.platform.plugins()).toHaveLength(1);
  await expectNoMoreInMemoryThanRuns();
});
