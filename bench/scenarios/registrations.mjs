// 100,000 registrations: what each takes in memory, and whether the last costs more than the first.
import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { emptyRegistry, pluginRecord, registration } from "../lib/catalog.mjs";
import { alternate } from "../lib/statistics.mjs";

export const title = "100,000 registrations of 1,000 types";
export const tools = [];

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");
const count = 100_000;
const block = 1_000;

function fill() {
  const { catalog, registry } = emptyRegistry();
  for (let index = 0; index < 100; index++) catalog.apply([{ kind: "plugin-put", plugin: pluginRecord(`p-${index}`) }]);
  gc();
  const before = process.memoryUsage().heapUsed;
  const blocks = [];
  for (let start = 0; start < count; start += block) {
    const begin = performance.now();
    for (let index = start; index < start + block; index++) {
      const entry = registration(`reg-${index}`, `p-${index % 100}`, `type-${Math.floor(index / 100)}`);
      catalog.apply([{ kind: "registration-put", registration: entry }]);
    }
    blocks.push(((performance.now() - begin) * 1_000) / block);
  }
  gc();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  assert.equal(registry.discover("type-999").registration.type, "type-999");
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
  // The first blocks run before the compiler has seen the code.
  return { bytes, early: mean(blocks.slice(5, 15)), late: mean(blocks.slice(-10)) };
}

export async function run({ rounds }) {
  fill();
  const fills = [];
  const values = await alternate(rounds, {
    "bytes each": () => {
      fills.push(fill());
      return fills.at(-1).bytes;
    },
    "µs, early ones": () => fills.at(-1).early,
    "µs, last ones": () => fills.at(-1).late,
  });
  return {
    unit: "",
    values,
    ratios: [
      { name: "bytes / 1 KiB", ratio: values["bytes each"].median / 1024, atMost: 1 },
      {
        name: "last / early",
        ratio: values["µs, last ones"].median / values["µs, early ones"].median,
        atMost: 2,
      },
    ],
  };
}
