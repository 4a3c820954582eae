// The caller of whole calls, in one of the ways that are compared. A request to its port, `/?inFlight=32&seconds=3`, makes
// calls, checks each answer, and is answered with the number of calls a second.
import http from "node:http";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { definePlugin, servePlugin } from "../../dist/plugin/index.js";
import { Cache, callOf, protoFile } from "../lib/cache-service.mjs";

const { kind, url, hostUrl, ports } = JSON.parse(process.argv[2]);

/** Each resolves with a function from a key to the text that came back. */
const kinds = {
  "connect-http1"() {
    const nodeOptions = { agent: new http.Agent({ keepAlive: true }) };
    const transport = createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: true, nodeOptions });
    return callOf(createClient(Cache, transport));
  },
  "connect-grpc": () => callOf(createClient(Cache, createGrpcTransport({ baseUrl: url }))),
  async "grpc-js"() {
    const { credentials, loadPackageDefinition } = await import("@grpc/grpc-js");
    const { loadSync } = await import("@grpc/proto-loader");
    const { cache } = loadPackageDefinition(loadSync(protoFile));
    const client = new cache.v1.Cache(url, credentials.createInsecure());
    return (key) =>
      new Promise((resolve, reject) =>
        client.Get({ key }, (error, answer) => (error ? reject(error) : resolve(answer.value.toString()))),
      );
  },
  async moleculer() {
    const { moleculerNode } = await import("../lib/moleculer.mjs");
    const broker = moleculerNode("client", ports);
    await broker.start();
    await broker.waitForServices("cache", 20_000);
    return async (key) => (await broker.call("cache.get", { key })).value;
  },
  plugin: () => callerPlugin({ link: "off" }),
  "plugin-link": () => callerPlugin({ listen: "never" }),
};

async function callerPlugin(options) {
  let call;
  const plugin = definePlugin({
    id: "caller-plugin",
    version: "1.0.0",
    requires: { cache: { service: Cache } },
    setup(context) {
      call = callOf(context.client("cache"));
      return {};
    },
  });
  await (await servePlugin(plugin, { hostUrl, ...options })).registered;
  return call;
}

const call = await kinds[kind]();

async function rate(inFlight, seconds) {
  const begin = performance.now();
  const end = begin + seconds * 1_000;
  let calls = 0;
  const caller = async (number) => {
    for (let index = 0; performance.now() < end; index++) {
      const key = `key ${number} ${index}`;
      const value = await call(key);
      if (value !== key) throw new Error(`${kind} answered ${value} for ${key}`);
      calls += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, (_, number) => caller(number)));
  return (calls * 1_000) / (performance.now() - begin);
}

const control = http.createServer((req, res) => {
  const { searchParams } = new URL(req.url, "http://client");
  rate(Number(searchParams.get("inFlight")), Number(searchParams.get("seconds"))).then(
    (callsPerSecond) => res.end(JSON.stringify({ callsPerSecond })),
    (error) => res.writeHead(500).end(String(error)),
  );
});
control.listen(0, "127.0.0.1", () =>
  console.log(JSON.stringify({ controlUrl: `http://127.0.0.1:${control.address().port}` })),
);
process.once("SIGTERM", () => process.exit(0));
