import { expect, test } from "vitest";
import type { PluginSpec } from "../../src/index.js";
import { startHost } from "../support/host.js";
import { echoPlugin, stall } from "../support/plugins.js";
import { membersOf, probe, startPlatform } from "../support/process-plugins.js";

const flagSets = [
  { name: "ends when it is asked to", flags: [] },
  { name: "hangs in its Shutdown", flags: ["--hang-shutdown"] },
  { name: "has no Shutdown and ignores SIGTERM", flags: ["--ignore-shutdown", "--ignore-term"] },
  { name: "hangs in its Shutdown and ignores SIGTERM", flags: ["--hang-shutdown", "--ignore-term", "--grandchild"] },
];

/** Programs each of which requires the one before. */
const chain = (flags: readonly string[], length: number): PluginSpec[] =>
  Array.from({ length }, (_, index) => ({
    ...probe(flags, { SELF_ID: `p${index}`, PROVIDES: `t${index}` }),
    declares: {
      selfId: `p${index}`,
      provides: [{ type: `t${index}`, version: "1.0.0", path: "/test.v1.Probe/" }],
      requires: index === 0 ? [] : [{ type: `t${index - 1}` }],
    },
  }));

test.each(flagSets)(
  "a chain of programs of which each $name stops within the budget, dependants first",
  async ({ flags }) => {
    const stopBudgetMs = 4_000;
    const platform = await startPlatform({ stopBudgetMs });
    const plugins = await platform.addPlugins(chain(flags, 4));
    const removed: string[] = [];
    platform.on("plugin-removed", ({ plugin }) => removed.push(plugin.selfId));
    const startedAt = performance.now();
    await platform.stop();
    expect(performance.now() - startedAt).toBeLessThan(stopBudgetMs + 1_000);
    expect(removed).toEqual(["p3", "p2", "p1", "p0"]);
    expect(await membersOf(plugins.map(({ pid }) => pid ?? 0))).toEqual([]);
  },
);

test("a chain of modules of which none ever stops is given up within the budget, dependants first", async () => {
  await using host = await startHost({ stopBudgetMs: 2_000 });
  const stuck = (id: string, ...requires: string[]) =>
    echoPlugin({ id, type: id, requires, onSetup: ({ onStop }) => onStop(stall) });
  await host.platform.addPlugins([{ module: stuck("a") }, { module: stuck("b", "a") }, { module: stuck("c", "b") }]);
  const removed: string[] = [];
  host.platform.on("plugin-removed", ({ plugin }) => removed.push(plugin.selfId));
  const startedAt = performance.now();
  await host.platform.stop();
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  expect(removed).toEqual(["c", "b", "a"]);
});

test("a budget of nothing still leaves no process", async () => {
  const platform = await startPlatform({ stopBudgetMs: 0 });
  const plugins = await platform.addPlugins(chain(["--hang-shutdown", "--ignore-term"], 3));
  const startedAt = performance.now();
  await platform.stop();
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  expect(await membersOf(plugins.map(({ pid }) => pid ?? 0))).toEqual([]);
});

test("of calls under load, each is answered or refused while the host stops, and none is broken off", async () => {
  await using host = await startHost({ ingress: [{ prefix: "/", type: "app", access: "open" }] });
  // Slow enough for many to be in flight: a timer is what this plugin works with.
  const work = () => new Promise<void>((resolve) => setTimeout(resolve, 30));
  await host.platform.addPlugins([
    { module: echoPlugin({ id: "store", type: "store", onSay: work }) },
    { module: echoPlugin({ id: "app", type: "app", requires: ["store"], onSay: work }) },
  ]);
  const outcomes = new Map<number | string, number>();
  const note = (outcome: number | string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  let isStopping = false;
  // Each calls until it is told that the host stops, or that its connection is not taken any more.
  const load = Array.from({ length: 40 }, async () => {
    for (;;) {
      const isLate = isStopping;
      const answer = await host.post("/echo.v1.Echo/Say", { text: "hi" }).catch(String);
      if (typeof answer === "string") return note(isLate ? "not taken" : answer);
      note(answer.status);
      if (answer.status !== 200) return;
    }
  });
  await host.until(() => (outcomes.get(200) ?? 0) > 100);
  const before = outcomes.get(200) ?? 0;
  isStopping = true;
  await host.platform.stop();
  await Promise.all(load);
  // What was in flight got its answer, and who came later was told, or not taken.
  expect(outcomes.get(200)).toBeGreaterThan(before);
  expect([...outcomes.keys()].filter((outcome) => ![200, 503, "not taken"].includes(outcome))).toEqual([]);
});
