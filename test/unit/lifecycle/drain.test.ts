import { expect, test } from "vitest";
import { drain } from "../../../src/lifecycle/drain.js";
import { shutDown } from "../../../src/lifecycle/shut-down.js";
import { StopBudget } from "../../../src/lifecycle/stop-budget.js";
import { lifecycleBench, remoteOf } from "../../support/lifecycle-bench.js";

async function busy(calls: number) {
  const bench = lifecycleBench();
  const { runtimeId } = bench.join();
  const plugin = bench.directory.get(runtimeId);
  if (plugin === undefined) throw new Error("it is there");
  const aborted: string[] = [];
  const entries = Array.from({ length: calls }, () => {
    const entry = {
      abort: (reason: Error) => {
        aborted.push(reason.message);
        plugin.inFlight.leave(entry);
      },
    };
    plugin.inFlight.enter(entry);
    return entry;
  });
  return { ...bench, plugin, entries, aborted };
}

test("draining ends at once where nothing is in flight", async () => {
  const { clock, plugin } = await busy(0);
  expect(await drain(clock, plugin, 1_000, undefined)).toBe(0);
});

test("draining ends with the last call", async () => {
  const { clock, plugin, entries } = await busy(2);
  const draining = drain(clock, plugin, 1_000, undefined);
  for (const entry of entries) plugin.inFlight.leave(entry);
  expect(await draining).toBe(0);
  expect(clock.pending).toBe(0);
});

test("draining cuts off what is left at its limit, and says how many", async () => {
  const { clock, plugin, entries, aborted } = await busy(3);
  const draining = drain(clock, plugin, 1_000, undefined);
  if (entries[0] !== undefined) plugin.inFlight.leave(entries[0]);
  clock.advance(1_000);
  expect(await draining).toBe(2);
  expect(aborted).toEqual([1, 2].map(() => `${plugin.runtimeId} had 2 calls open after 1000 ms of draining`));
});

test("draining is cut off early when the host has no more time", async () => {
  const { clock, plugin, aborted } = await busy(1);
  const budget = new StopBudget(clock);
  const draining = drain(clock, plugin, 60_000, budget.drained);
  expect(budget.leftMs()).toBe(Number.POSITIVE_INFINITY);
  budget.begin(1_000, new Error("stop"));
  expect(budget.stopping.aborted).toBe(true);
  clock.advance(499);
  expect(aborted).toEqual([]);
  clock.advance(1);
  expect(await draining).toBe(1);
  expect(budget.leftMs()).toBe(500);
  budget.close();
  expect(clock.pending).toBe(0);
});

test("a plugin that does not answer the request is stopped with the time that is left", async () => {
  const { clock, plugin } = await busy(0);
  const stops: unknown[] = [];
  plugin.remote = remoteOf({ shutdown: () => new Promise(() => {}) });
  plugin.launched = {
    origin: "module",
    address: plugin.address,
    ended: new Promise(() => {}),
    stop: async (...given) => void stops.push(given),
  };
  const { signal } = new AbortController();
  const done = shutDown(plugin, { clock, graceMs: 300, reason: "test", signal });
  clock.advance(300);
  await done;
  expect(stops).toEqual([[0, false]]);
  plugin.remote = remoteOf();
  await shutDown(plugin, { clock, graceMs: 300, reason: "test", signal });
  expect(stops[1]).toEqual([300, true]);
  expect(clock.pending).toBe(0);
});
