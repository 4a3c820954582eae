// A server for the conformance runner: a host that exposes the reference server, a plugin without an SDK, at `/`.
import { Platform } from "../../dist/index.js";
import { readRequest, startReferenceServer, stopOnSignal, writeResponse } from "./lib/frames.mjs";

const { bytes } = await readRequest();
const reference = await startReferenceServer(bytes);

const platform = new Platform({ ingress: [{ prefix: "/", type: "conformance", access: "open" }] });
stopOnSignal(async () => {
  reference.stop();
  await platform.stop();
});

await platform.listen({ host: "127.0.0.1", port: 0 });
await platform.addPlugin({
  endpoint: `http://127.0.0.1:${reference.port}`,
  declares: {
    selfId: "reference-server",
    selfVersion: "1.0.0",
    provides: [{ type: "conformance", version: "1.0.0", path: "/" }],
    // The reference server answers either HTTP/1.1 or HTTP/2, as the runner asked; the host finds out which.
  },
});
writeResponse({ port: Number(new URL(platform.url).port) });
