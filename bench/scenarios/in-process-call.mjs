// A typed call from one plugin in the host's process to another, through the host, against Connect's createRouterTransport.
import assert from "node:assert/strict";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { Platform } from "../../dist/index.js";
import { definePlugin } from "../../dist/plugin/index.js";
import { Cache, callOf, implementation } from "../lib/cache-service.mjs";
import { alternate } from "../lib/statistics.mjs";

export const title = "a call between two plugins in the host's process, one at a time";
export const tools = [];

async function microseconds(call, forMs) {
  const begin = performance.now();
  let calls = 0;
  while (performance.now() - begin < forMs) {
    for (let index = 0; index < 32; index++) assert.equal(await call("hello"), "hello");
    calls += 32;
  }
  return ((performance.now() - begin) * 1_000) / calls;
}

export async function run({ rounds, seconds }) {
  const platform = new Platform();
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
    await platform.listen({ port: 0 });
    await platform.addPlugins([{ module: provider }, { module: caller }]);
    const transport = createRouterTransport((router) => router.service(Cache, implementation));
    const calls = { "through the host": throughHost, createRouterTransport: callOf(createClient(Cache, transport)) };
    for (const call of Object.values(calls)) await microseconds(call, 1_000);
    const values = await alternate(
      rounds,
      Object.fromEntries(
        Object.entries(calls).map(([name, call]) => [name, () => microseconds(call, Math.min(seconds, 2) * 1_000)]),
      ),
    );
    const ratio = values.createRouterTransport.median / values["through the host"].median;
    return { unit: "µs", values, ratios: [{ name: "createRouterTransport / host", ratio, atLeast: 20 }] };
  } finally {
    await platform.stop();
  }
}
