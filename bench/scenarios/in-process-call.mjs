// A typed call from one plugin in the host's process to another, through the host, against Connect's createRouterTransport. Messages
// are copied in both directions, and identity, authorisation, health, limits and accounting count as for any call.
import assert from "node:assert/strict";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { Platform } from "../../dist/index.js";
import { definePlugin } from "../../dist/plugin/index.js";
import { Cache, callOf, implementation } from "../lib/cache-service.mjs";
import { alternate } from "../lib/statistics.mjs";

export const title = "a call between two plugins in the host's process: one at a time, and 64 at once";
export const tools = [];

const atOnce = 64;

/** Processor time rather than time on the clock: on a machine that others use, too, it says more of the code. */
async function microseconds(batch, callsInBatch, forMs) {
  const begin = performance.now();
  const before = process.cpuUsage();
  let calls = 0;
  while (performance.now() - begin < forMs) {
    await batch();
    calls += callsInBatch;
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / calls;
}

const inTurn = (call) => async () => {
  for (let index = 0; index < atOnce; index++) assert.equal(await call("hello"), "hello");
};

const together = (call) => async () => {
  const answers = await Promise.all(Array.from({ length: atOnce }, () => call("hello")));
  for (const answer of answers) assert.equal(answer, "hello");
};

export async function run({ rounds, seconds }) {
  const platform = new Platform({ authorize: () => undefined, callerRate: { perSecond: 1e9, burst: 1e9 } });
  try {
    let throughHost;
    const provider = definePlugin({
      id: "cache-plugin",
      version: "1.0.0",
      provides: { cache: { service: Cache } },
      setup: () => ({ cache: implementation }),
    });
    const caller = definePlugin({
      id: "caller-plugin",
      version: "1.0.0",
      requires: { cache: { service: Cache } },
      setup(plugin) {
        throughHost = callOf(plugin.client("cache"));
        return {};
      },
    });
    await platform.addPlugins([{ module: provider }, { module: caller }]);
    let protocol;
    const off = platform.on("call", (call) => {
      protocol = call.protocol;
    });
    assert.equal(await throughHost("hello"), "hello");
    assert.equal(protocol, "in-process");
    off();
    const transport = createRouterTransport((router) => router.service(Cache, implementation));
    const direct = callOf(createClient(Cache, transport));
    const batches = {
      "through the host": inTurn(throughHost),
      createRouterTransport: inTurn(direct),
      "through the host, 64 at once": together(throughHost),
      "createRouterTransport, 64 at once": together(direct),
    };
    for (const batch of Object.values(batches)) await microseconds(batch, atOnce, 1_000);
    const values = await alternate(
      rounds,
      Object.fromEntries(
        Object.entries(batches).map(([name, batch]) => [
          name,
          () => microseconds(batch, atOnce, Math.min(seconds, 2) * 1_000),
        ]),
      ),
    );
    const ratioOf = (rest) => values[`createRouterTransport${rest}`].median / values[`through the host${rest}`].median;
    return {
      unit: "µs of processor time",
      values,
      ratios: [
        { name: "createRouterTransport / host", ratio: ratioOf(""), atLeast: 20 },
        { name: "createRouterTransport / host, 64 at once", ratio: ratioOf(", 64 at once"), atLeast: 20 },
      ],
    };
  } finally {
    await platform.stop();
  }
}
