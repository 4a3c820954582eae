// A host whose provider is replaced when somebody asks on a second port.
import http from "node:http";
import { Platform } from "../../dist/index.js";
import { join } from "../lib/identity.mjs";

const { ports } = JSON.parse(process.argv[2]);
const platform = new Platform();
await platform.listen({ port: 0 });
const spec = (port, selfVersion) => ({
  endpoint: `http://127.0.0.1:${port}`,
  declares: {
    selfId: "echo",
    selfVersion,
    provides: [{ type: "echo", version: selfVersion, path: "/" }],
    metadata: { protocols: "h1" },
  },
});
const first = await platform.addPlugin(spec(ports[0], "1.0.0"));
const caller = await join(platform.url, "caller", ["echo"]);
let switchedAt = 0;
platform.on("plugin-replaced", () => (switchedAt = Date.now()));
const control = http.createServer(async (_req, res) => {
  await platform.replacePlugin(first.runtimeId, spec(ports[1], "1.1.0"));
  res.end(JSON.stringify({ switchedAt }));
});
control.listen(0, "127.0.0.1", () => {
  const controlUrl = `http://127.0.0.1:${control.address().port}`;
  console.log(JSON.stringify({ url: platform.url, controlUrl, providerId: first.runtimeId, caller }));
});
process.once("SIGTERM", () => process.exit(0));
