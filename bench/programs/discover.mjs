// A host with ten providers of one type, and beside it two bare handlers of the same server that answer with a constant: one
// that implements the procedure, and one below all RPC that sends the bytes.
import { ServiceRegistry } from "../../dist/gen/connectplugin/v1/registry_pb.js";
import { connectHandler } from "../../dist/http/connect-handler.js";
import { createOnePortServer } from "../../dist/http/one-port-server.js";
import { Platform } from "../../dist/index.js";
import { join, postJson } from "../lib/identity.mjs";

const platform = new Platform();
await platform.listen({ port: 0 });
for (let index = 0; index < 10; index++) {
  const { headers } = await join(platform.url, `echo-${index}`);
  await postJson(
    `${platform.url}/connectplugin.v1.ServiceRegistry/RegisterService`,
    { serviceType: "echo", version: "1.0.0", endpointPath: "/", metadata: {} },
    headers,
  );
}
const caller = await join(platform.url, "caller", ["echo"]);
const answer = await postJson(
  `${platform.url}/connectplugin.v1.ServiceRegistry/DiscoverService`,
  { serviceType: "echo" },
  caller.headers,
);
const body = Buffer.from(JSON.stringify(answer));
const bare = createOnePortServer({
  handler(exchange) {
    exchange.body.resume().once("end", () => {
      exchange.respond(200, ["content-type", "application/json", "content-length", String(body.length)]);
      exchange.response.write(body);
      exchange.end();
    });
  },
});
await bare.listen({ port: 0 });
const rpc = connectHandler({
  routes: (router) => router.service(ServiceRegistry, { discoverService: () => answer }),
});
const bareRpc = createOnePortServer({ handler: (exchange) => rpc.handle(exchange) });
await bareRpc.listen({ port: 0 });
const urlOf = (server) => `http://127.0.0.1:${server.address().port}`;
process.once("SIGTERM", () => process.exit(0));
console.log(JSON.stringify({ url: platform.url, bareUrl: urlOf(bare), bareRpcUrl: urlOf(bareRpc), caller, answer }));
