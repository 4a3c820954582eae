// A server for the conformance runner: a host that exposes the suite's service at `/`, and the service at the other end of a link
// which carries each HTTP exchange as it is. The plugin's end is made of the SDK's parts, since the suite needs settings of
// Connect's server that plugins do not have.
import { createClient } from "@connectrpc/connect";
import { HealthState } from "../../dist/gen/connectplugin/v1/common_pb.js";
import { PluginLifecycle } from "../../dist/gen/connectplugin/v1/lifecycle_pb.js";
import { ServiceRegistry } from "../../dist/gen/connectplugin/v1/registry_pb.js";
import { connectHandler } from "../../dist/http/connect-handler.js";
import { Platform } from "../../dist/index.js";
import { systemClock } from "../../dist/internal/clock.js";
import { dialLink } from "../../dist/link/dial-link.js";
import { LinkCallTransport, noConnection } from "../../dist/link/link-call-transport.js";
import { LinkSession } from "../../dist/link/link-session.js";
import { serveLinkCalls } from "../../dist/link/serve-link-calls.js";
import { readRequest, stopOnSignal, writeResponse } from "./lib/frames.mjs";
import { conformanceService, registry } from "./lib/schema.mjs";
import { conformanceImplementation } from "./lib/service.mjs";

const { request } = await readRequest();
const platform = new Platform({ ingress: [{ prefix: "/", type: "conformance", access: "open" }] });
await platform.listen({ host: "127.0.0.1", port: 0 });

const answer = await fetch(`${platform.url}/connectplugin.v1.HandshakeService/Handshake`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({
    coreProtocolVersion: 1,
    appProtocolVersion: 1,
    magicCookieKey: "CONNECT_PLUGIN",
    magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
    selfId: "provider",
    selfVersion: "1.0.0",
  }),
});
const { runtimeId, runtimeToken } = await answer.json();
const headers = { "x-plugin-runtime-id": runtimeId, authorization: `Bearer ${runtimeToken}` };
const transport = await dialLink({ url: platform.url, headers, timeoutMs: 5_000, clock: systemClock });

const handler = connectHandler({
  routes: (router) => router.service(conformanceService, conformanceImplementation),
  jsonOptions: { registry },
  ...(request.messageReceiveLimit > 0 && { readMaxBytes: request.messageReceiveLimit }),
});
let exchanges = 0;
const session = await new Promise((resolve) => {
  const opened = new LinkSession(transport, {
    role: "dialler",
    clock: systemClock,
    onReady: () => resolve(opened),
    onError: (error) => console.error(error),
    onCall: serveLinkCalls({
      services: { find: () => undefined },
      ready: () => undefined,
      isHttpOnly: () => false,
      onError: (error) => console.error(error),
      async exchange(exchange) {
        exchanges += 1;
        if ((await handler.handle(exchange)) === false) exchange.respond(404, [], true);
      },
    }),
  });
});
const clientOf = (service) => {
  const route = () => ({ session, basePath: `/${service.typeName}` });
  return createClient(service, new LinkCallTransport({ route, connection: noConnection, interceptors: [] }));
};
await clientOf(ServiceRegistry).registerService({ serviceType: "conformance", version: "1.0.0", endpointPath: "/" });
// Until it is seen well nobody is sent there.
await clientOf(PluginLifecycle).reportHealth({ state: HealthState.HEALTHY });

stopOnSignal(async () => {
  // Counted by run.mjs: a path that nothing takes proves nothing.
  console.error(`direct calls: ${exchanges}`);
  session.close();
  await platform.stop();
});
writeResponse({ port: Number(new URL(platform.url).port) });
