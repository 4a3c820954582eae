// A server for the conformance runner: a host that exposes the suite's service at `/`, and the service as a plugin of the SDK. The
// argument says where the plugin runs: see the modes of run.mjs.
import assert from "node:assert/strict";
import { Platform } from "../../dist/index.js";
import { servePlugin } from "../../dist/plugin/index.js";
import { readRequest, stopOnSignal, writeResponse } from "./lib/frames.mjs";
import { conformancePlugin } from "./lib/plugin.mjs";

const { request } = await readRequest();
const platform = new Platform({ ingress: [{ prefix: "/", type: "conformance", access: "open" }] });
await platform.listen({ host: "127.0.0.1", port: 0 });

const limit = request.messageReceiveLimit;
const plugin = conformancePlugin(limit);
const settings = { env: {}, hostUrl: platform.url };
const env = { ...process.env, CONFORMANCE_RECEIVE_LIMIT: String(limit) };
const worker = new URL("./lib/worker-plugin.mjs", import.meta.url);
/** How the plugin is started, and how the host has to show it then: there must be one way to it, the one that is meant. */
const ways = {
  http: { start: () => servePlugin(plugin, { ...settings, link: "off" }), origin: "self-registered", link: false },
  link: { start: () => servePlugin(plugin, { ...settings, listen: "never" }), origin: "self-registered", link: true },
  "in-process": { start: () => platform.addPlugin({ module: plugin }), origin: "module", link: false },
  worker: { start: () => platform.addPlugin({ worker, env }), origin: "worker", link: true },
};
const way = ways[process.argv[2]];
const started = await way.start();
const shown = platform.plugins().map(({ origin, link }) => ({ origin, link }));
assert.deepEqual(shown, [{ origin: way.origin, link: way.link }]);

let calls = 0;
platform.on("call", ({ caller, serviceType }) => {
  assert.deepEqual([caller.kind, serviceType], ["ingress", "conformance"]);
  calls += 1;
});
stopOnSignal(async () => {
  // Counted by run.mjs: a path that nothing takes proves nothing.
  console.error(`direct calls: ${calls}`);
  if (way.origin === "self-registered") await started.stop({ graceMs: 0 });
  await platform.stop();
});
writeResponse({ port: Number(new URL(platform.url).port) });
