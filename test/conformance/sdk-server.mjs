// A server for the conformance runner: the suite's service on the Connect server that plugins of the SDK run on.
import { connectHandler } from "../../dist/http/connect-handler.js";
import { createOnePortServer } from "../../dist/http/one-port-server.js";
import { readRequest, stopOnSignal, writeResponse } from "./lib/frames.mjs";
import { conformanceService, registry } from "./lib/schema.mjs";
import { conformanceImplementation } from "./lib/service.mjs";

const { request } = await readRequest();
const direct = process.argv[2] !== "ordinary";
const handler = connectHandler({
  routes: (router) => router.service(conformanceService, conformanceImplementation),
  jsonOptions: { registry },
  direct,
  ...(request.messageReceiveLimit > 0 && { readMaxBytes: request.messageReceiveLimit }),
});
const server = createOnePortServer({
  handler: async (exchange) => {
    if ((await handler.handle(exchange)) === false) exchange.respond(404, [], true);
  },
  onError: (error) => console.error(error),
});
stopOnSignal(() => {
  // Counted by run.mjs: a path that nothing takes proves nothing.
  console.error(`direct calls: ${handler.directCalls}`);
  return server.close({ graceMs: 0 });
});

await server.listen({ host: "127.0.0.1", port: 0 });
writeResponse({ port: server.address().port });
