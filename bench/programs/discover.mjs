// A host with ten providers of one type, and beside it a bare handler of the same server that answers with a constant.

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
const caller = await join(platform.url, "caller");
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
process.once("SIGTERM", () => process.exit(0));
console.log(JSON.stringify({ url: platform.url, bareUrl: `http://127.0.0.1:${bare.address().port}`, caller, answer }));
