// One change to 10,000 watchers in process, until the last of them has it, against as many bare promises.
import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { pluginRecord, registryWith } from "../lib/catalog.mjs";
import { alternate, median } from "../lib/statistics.mjs";

export const title = "one change to 10,000 watchers in process";
export const tools = [];

const watchers = 10_000;
const changes = 20;

/** Median milliseconds from the change until everybody has it. */
async function registryFanOut() {
  const { catalog, registry } = registryWith(1);
  const end = new AbortController();
  setMaxListeners(0, end.signal);
  let told = 0;
  let all = () => {};
  const readers = Array.from({ length: watchers }, async () => {
    for await (const view of registry.watch("echo", { signal: end.signal })) {
      assert(view.revision.number > 0);
      if (++told === watchers) all();
    }
  });
  const times = [];
  await new Promise((resolve) => (all = resolve));
  for (let change = 0; change < changes; change++) {
    told = 0;
    const done = new Promise((resolve) => (all = resolve));
    const begin = performance.now();
    catalog.apply([{ kind: "plugin-put", plugin: pluginRecord("echo-0", change % 2 === 0 ? "unhealthy" : "healthy") }]);
    await done;
    times.push(performance.now() - begin);
  }
  end.abort();
  await Promise.all(readers);
  return median(times);
}

/** The same with a loop that resolves a promise for each. */
async function bareFanOut() {
  const wake = [];
  let told = 0;
  let all = () => {};
  const readers = Array.from({ length: watchers }, async (_, index) => {
    for (;;) {
      const view = await new Promise((resolve) => (wake[index] = resolve));
      if (view === undefined) return;
      if (++told === watchers) all();
    }
  });
  const times = [];
  for (let change = 0; change < changes; change++) {
    await new Promise((resolve) => setImmediate(resolve));
    told = 0;
    const done = new Promise((resolve) => (all = resolve));
    const begin = performance.now();
    const view = { change };
    for (const tell of wake) tell(view);
    await done;
    times.push(performance.now() - begin);
  }
  await new Promise((resolve) => setImmediate(resolve));
  for (const tell of wake) tell(undefined);
  await Promise.all(readers);
  return median(times);
}

export async function run({ rounds }) {
  await registryFanOut();
  await bareFanOut();
  const values = await alternate(rounds, { registry: registryFanOut, "bare promises": bareFanOut });
  return {
    unit: "ms",
    values,
    ratios: [
      { name: "registry / bare promises", ratio: values.registry.median / values["bare promises"].median, atMost: 3 },
    ],
  };
}
