// A host with one plugin whose health is watched, and beside it a bare loop of the same server: POST /change there writes
// its body to every stream that is open.
import { createOnePortServer } from "../../dist/http/one-port-server.js";
import { Platform } from "../../dist/index.js";
import { join, postJson } from "../lib/identity.mjs";

const platform = new Platform();
await platform.listen({ port: 0 });
const provider = await join(platform.url, "echo-0");
await postJson(
  `${platform.url}/connectplugin.v1.ServiceRegistry/RegisterService`,
  { serviceType: "echo", version: "1.0.0", endpointPath: "/", metadata: {} },
  provider.headers,
);
const caller = await join(platform.url, "watcher", ["echo"]);

const open = new Set();
const bare = createOnePortServer({
  handler(exchange) {
    if (exchange.head.target !== "/change") {
      exchange.body.resume();
      exchange.respond(200, ["content-type", "application/connect+json"]);
      exchange.response.write(Buffer.from([0, 0, 0, 0, 2, 0x7b, 0x7d]));
      exchange.response.on("error", () => {});
      open.add(exchange.response);
      return;
    }
    const parts = [];
    exchange.body.on("data", (part) => parts.push(part));
    exchange.body.once("end", () => {
      const message = Buffer.concat(parts);
      for (const stream of open) stream.write(message);
      exchange.respond(200, ["content-type", "application/json", "content-length", "2"]);
      exchange.response.write("{}");
      exchange.end();
    });
  },
});
await bare.listen({ port: 0 });
process.once("SIGTERM", () => process.exit(0));
const bareUrl = `http://127.0.0.1:${bare.address().port}`;
console.log(JSON.stringify({ url: platform.url, bareUrl, provider, caller }));
