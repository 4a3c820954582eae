// The callee of whole calls, in one of the ways that are compared.
import http from "node:http";
import http2 from "node:http2";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { definePlugin, servePlugin } from "../../dist/plugin/index.js";
import { Cache, implementation, protoFile } from "../lib/cache-service.mjs";

const { kind, hostUrl, ports } = JSON.parse(process.argv[2]);

const listen = (server) =>
  new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`)));
const adapter = () => connectNodeAdapter({ routes: (router) => router.service(Cache, implementation) });

const kinds = {
  "connect-http1": () => listen(http.createServer(adapter())),
  "connect-grpc": () => listen(http2.createServer(adapter())),
  async "grpc-js"() {
    const { loadPackageDefinition, Server, ServerCredentials } = await import("@grpc/grpc-js");
    const { loadSync } = await import("@grpc/proto-loader");
    const { cache } = loadPackageDefinition(loadSync(protoFile));
    const server = new Server();
    server.addService(cache.v1.Cache.service, {
      Get: ({ request }, callback) => callback(null, { found: true, value: Buffer.from(request.key) }),
    });
    const port = await new Promise((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    return `127.0.0.1:${port}`;
  },
  async moleculer() {
    const { moleculerNode } = await import("../lib/moleculer.mjs");
    const broker = moleculerNode("server", ports);
    broker.createService({ name: "cache", actions: { get: ({ params }) => ({ found: true, value: params.key }) } });
    await broker.start();
  },
  plugin: () => cachePlugin({ link: "off" }),
  "plugin-link": () => cachePlugin({ listen: "never" }),
};

async function cachePlugin(options) {
  const plugin = definePlugin({
    id: "cache-plugin",
    version: "1.0.0",
    provides: { cache: { service: Cache } },
    setup: () => ({ cache: implementation }),
  });
  await (await servePlugin(plugin, { hostUrl, ...options })).registered;
}

console.log(JSON.stringify({ url: await kinds[kind]() }));
process.once("SIGTERM", () => process.exit(0));
