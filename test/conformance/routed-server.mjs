// A server for the conformance runner: a host that exposes the reference server, a plugin without an SDK, at `/`.
import { Platform } from "../../dist/index.js";
import { readRequest, startReferenceServer, stopOnSignal, writeResponse } from "./lib/frames.mjs";

const http2 = 2; // HTTP_VERSION_2
const { bytes, request } = await readRequest();
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
    // The reference server answers one version of HTTP only, the one that the runner asked for.
    metadata: { protocols: request.httpVersion === http2 ? "h2c" : "h1" },
  },
});
writeResponse({ port: Number(new URL(platform.url).port) });
