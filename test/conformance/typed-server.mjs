// A server for the conformance runner: in front the Connect server of the SDK, which speaks all protocols; behind it a host and two
// plugins. What comes in front is passed on by one of them to the other, which has the suite's service, so that each case also is a
// call from plugin to plugin. The argument says how those travel: see the modes of run.mjs.
import assert from "node:assert/strict";
import { Platform } from "../../dist/index.js";
import { servePlugin } from "../../dist/plugin/index.js";
import { forwardingImplementation } from "./lib/forwarding.mjs";
import { readRequest, stopOnSignal, writeResponse } from "./lib/frames.mjs";
import { openFront } from "./lib/front.mjs";
import { callingPlugin, conformancePlugin } from "./lib/plugin.mjs";

const way = process.argv[2];
const { request } = await readRequest();
const platform = new Platform();
let calls = 0;
platform.on("call", ({ protocol }) => {
  assert.equal(protocol, way);
  calls += 1;
});
// The limit is the provider's alone, so that it is kept on this way, too.
const provider = conformancePlugin(request.messageReceiveLimit);
const caller = callingPlugin();
const served = [];
if (way === "in-process") await platform.addPlugins([{ module: provider }, { module: caller.plugin }]);
else {
  await platform.listen({ host: "127.0.0.1", port: 0 });
  const settings = { env: {}, hostUrl: platform.url, listen: "never" };
  for (const plugin of [provider, caller.plugin]) served.push(await servePlugin(plugin, settings));
}
const front = await openFront(forwardingImplementation(caller.client()));
stopOnSignal(async () => {
  // Counted by run.mjs: a path that nothing takes proves nothing.
  console.error(`direct calls: ${calls}`);
  await front.close();
  for (const plugin of served) await plugin.stop({ graceMs: 0 });
  await platform.stop();
});
writeResponse({ port: front.port });
