import { connectHandler } from "../../../dist/http/connect-handler.js";
import { createOnePortServer } from "../../../dist/http/one-port-server.js";
import { conformanceService, registry } from "./schema.mjs";

/** The Connect server of the SDK on a port of its own, with this implementation of the suite's service. It speaks all protocols. */
export async function openFront(implementation, options = {}) {
  const handler = connectHandler({
    routes: (router) => router.service(conformanceService, implementation),
    jsonOptions: { registry },
    ...options,
  });
  const server = createOnePortServer({
    handler: async (exchange) => {
      if ((await handler.handle(exchange)) === false) exchange.respond(404, [], true);
    },
    onError: (error) => console.error(error),
  });
  await server.listen({ host: "127.0.0.1", port: 0 });
  return {
    port: server.address().port,
    directCalls: () => handler.directCalls,
    close: () => server.close({ graceMs: 0 }),
  };
}
