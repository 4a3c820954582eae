// A server for the conformance runner: in front the Connect server of the SDK, which speaks all protocols; behind it a host and two
// plugins without ports, on links. What comes in front is passed on by one of them to the other, which has the suite's service, so
// that each case also goes over two links.
import assert from "node:assert/strict";
import { connectHandler } from "../../dist/http/connect-handler.js";
import { createOnePortServer } from "../../dist/http/one-port-server.js";
import { Platform } from "../../dist/index.js";
import { definePlugin, servePlugin } from "../../dist/plugin/index.js";
import { forwardingImplementation } from "./lib/forwarding.mjs";
import { readRequest, stopOnSignal, writeResponse } from "./lib/frames.mjs";
import { conformanceService, registry } from "./lib/schema.mjs";
import { conformanceImplementation } from "./lib/service.mjs";

const { request } = await readRequest();
const platform = new Platform();
let overLinks = 0;
platform.on("call", ({ protocol }) => {
  assert.equal(protocol, "link");
  overLinks += 1;
});
await platform.listen({ host: "127.0.0.1", port: 0 });
let client;
const provider = definePlugin({
  id: "provider",
  version: "1.0.0",
  provides: { conformance: { service: conformanceService } },
  setup: () => ({ conformance: conformanceImplementation }),
});
const caller = definePlugin({
  id: "caller",
  version: "1.0.0",
  requires: { conformance: { service: conformanceService } },
  setup(plugin) {
    client = plugin.client("conformance");
  },
});
const settings = { env: {}, hostUrl: platform.url, listen: "never" };
const served = [await servePlugin(provider, settings), await servePlugin(caller, settings)];

const handler = connectHandler({
  routes: (router) => router.service(conformanceService, forwardingImplementation(client)),
  jsonOptions: { registry },
  ...(request.messageReceiveLimit > 0 && { readMaxBytes: request.messageReceiveLimit }),
});
const server = createOnePortServer({
  handler: async (exchange) => {
    if ((await handler.handle(exchange)) === false) exchange.respond(404, [], true);
  },
  onError: (error) => console.error(error),
});
stopOnSignal(async () => {
  // Counted by run.mjs: a path that nothing takes proves nothing.
  console.error(`direct calls: ${overLinks}`);
  await server.close({ graceMs: 0 });
  for (const plugin of served) await plugin.stop({ graceMs: 0 });
  await platform.stop();
});

await server.listen({ host: "127.0.0.1", port: 0 });
writeResponse({ port: server.address().port });
