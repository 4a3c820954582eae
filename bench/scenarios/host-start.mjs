// From the start of the process to the answer of the first routed call. What node itself takes is left out on both sides:
// (host - node) / (bare - node), where `bare` loads the same code and makes one plain call. See programs/start.mjs.
import assert from "node:assert/strict";
import { cores, Programs } from "../lib/processes.mjs";
import { alternate, median } from "../lib/statistics.mjs";

export const title = "from the start of the process to the first routed call";
export const tools = [];

const startsPerRound = 5;

export async function run({ rounds }) {
  const programs = new Programs();
  try {
    const { port } = await programs.node(cores.load, "replaced-provider", { version: "1.0.0" });
    const start = async (until) => {
      const started = new Programs();
      try {
        const begin = performance.now();
        const options = { until, providerUrl: `http://127.0.0.1:${port}` };
        const { answer } = await started.node(cores.measured, "start", options);
        const ms = performance.now() - begin;
        assert.equal(answer, "200 hello");
        return ms;
      } finally {
        await started.stop();
      }
    };
    const kinds = ["node", "bare", "host"];
    // Brings the files into the kernel's cache.
    for (const until of kinds) await start(until);
    const values = await alternate(
      rounds,
      Object.fromEntries(
        kinds.map((until) => [
          until,
          async () => {
            const times = [];
            for (let index = 0; index < startsPerRound; index++) times.push(await start(until));
            return median(times);
          },
        ]),
      ),
    );
    const above = (until) => values[until].median - values.node.median;
    return {
      unit: "ms",
      values,
      ratios: [
        { name: "(host - node) / (bare - node)", ratio: above("host") / above("bare"), atMost: 2 },
        { name: "host / bare", ratio: values.host.median / values.bare.median },
      ],
    };
  } finally {
    await programs.stop();
  }
}
