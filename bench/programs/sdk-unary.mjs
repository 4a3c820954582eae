// One unary handler on a port of its own: as a plugin of the SDK, or with Connect's adapter for Node.
import { createServer } from "node:http";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { definePlugin, servePlugin } from "../../dist/plugin/index.js";
import { Echo } from "../lib/echo-service.mjs";

const { server } = JSON.parse(process.argv[2]);
const implementation = { say: ({ message }) => ({ message }) };
process.once("SIGTERM", () => process.exit(0));

if (server === "sdk") {
  const plugin = definePlugin({
    id: "echo",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    setup: () => ({ echo: implementation }),
  });
  const { url } = await servePlugin(plugin, { env: {} });
  console.log(JSON.stringify({ url }));
} else {
  const routes = (router) => router.service(Echo, implementation);
  const http = createServer(connectNodeAdapter({ routes }));
  http.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ url: `http://127.0.0.1:${http.address().port}` })));
}
