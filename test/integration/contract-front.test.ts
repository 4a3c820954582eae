import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { expect, onTestFinished, test } from "vitest";
import { HandshakeRequestSchema } from "../../src/gen/connectplugin/v1/handshake_pb.js";
import { ContractHost, greeting, PlainProvider } from "../support/contract-host.js";
import { exchangeBytes } from "../support/http-server.js";

const handshakePath = "/connectplugin.v1.HandshakeService/Handshake";
const json = { "content-type": "application/json" };

/** What a request with this head gets, byte for byte as given, and whether the connection serves the next one. */
async function sendHead(host: ContractHost, lines: readonly string[]): Promise<string> {
  return exchangeBytes(net.connect(host.port, "127.0.0.1"), `${lines.join("\r\n")}\r\n\r\n`);
}

test.each([
  { what: "Host: [", head: ["GET /healthz HTTP/1.1", "Host: [", "Connection: close"], status: 400 },
  { what: "an empty Host", head: ["GET /healthz HTTP/1.1", "Host: ", "Connection: close"], status: 400 },
  { what: "no Host", head: ["GET /healthz HTTP/1.1", "Connection: close"], status: 400 },
  { what: "no Host in HTTP/1.0", head: ["GET /healthz HTTP/1.0"], status: 400 },
  {
    what: "two Hosts",
    head: ["GET /healthz HTTP/1.1", "Host: localhost", "Host: localhost", "Connection: close"],
    status: 400,
  },
  { what: "a Host with a space", head: ["GET /healthz HTTP/1.1", "Host: a b", "Connection: close"], status: 400 },
  {
    what: "a foreign Host",
    head: ["GET /healthz HTTP/1.1", "Host: evil.example.org", "Connection: close"],
    status: 403,
  },
  {
    what: "a foreign Host that begins like loopback",
    head: ["GET /healthz HTTP/1.1", "Host: 127.evil.example.org", "Connection: close"],
    status: 403,
  },
  {
    what: "a foreign Origin",
    head: ["GET /healthz HTTP/1.1", "Host: localhost", "Origin: https://evil.example.org", "Connection: close"],
    status: 403,
  },
  {
    what: "the Origin null",
    head: ["GET /healthz HTTP/1.1", "Host: localhost", "Origin: null", "Connection: close"],
    status: 403,
  },
  {
    what: "a full URL",
    head: ["GET http://localhost/healthz HTTP/1.1", "Host: localhost", "Connection: close"],
    status: 400,
  },
  { what: "a fragment", head: ["GET /healthz#x HTTP/1.1", "Host: localhost", "Connection: close"], status: 400 },
  {
    what: "a good head",
    head: ["GET /healthz HTTP/1.1", "Host: localhost:1", "Origin: http://127.0.0.1:1", "Connection: close"],
    status: 200,
  },
])("$what gets $status, and nobody else notices", async ({ head, status }) => {
  await using host = await ContractHost.start();
  const other = new http.Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => other.destroy());
  const before = await host.raw({ method: "GET", path: "/healthz", agent: other });
  expect(await sendHead(host, head)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect([before.status, (await host.raw({ method: "GET", path: "/healthz", agent: other })).status]).toEqual([
    200, 200,
  ]);
  expect(host.warnings).toEqual([]);
});

test("over HTTP/2 a bad request hurts no other stream of its connection", async () => {
  await using host = await ContractHost.start();
  const session = http2.connect(host.url);
  onTestFinished(() => session.destroy());
  session.on("error", () => {});
  const get = (headers: http2.OutgoingHttpHeaders): Promise<number | undefined> =>
    new Promise((resolve) => {
      const stream = session.request({ ":method": "GET", ":path": "/healthz", ...headers });
      stream.on("response", (answer) => resolve(answer[":status"]));
      stream.on("error", () => resolve(undefined));
      stream.resume();
    });
  const statuses = await Promise.all([
    get({}),
    get({ ":authority": "evil.example.org" }),
    get({ ":authority": "[" }),
    get({ origin: "https://evil.example.org" }),
    get({ ":path": "/services/a/any/%2e%2e" }),
    get({}),
  ]);
  expect(statuses).toEqual([200, 403, 400, 403, 400, 200]);
});

test.each([
  { path: "..%2fx" },
  { path: "../x" },
  { path: "%2e%2e/x" },
  { path: "%2E%2e" },
  { path: "a/./b" },
  { path: "a%5cb" },
  { path: "a%00b" },
  { path: "%zz" },
  { path: "connectplugin.v1.PluginControl/Shutdown" },
  { path: "connectplugin%2ev1.PluginControl/Shutdown" },
  { path: "%63onnectplugin.v1.PluginControl/Shutdown" },
  { path: "ConnectPlugin.v1.PluginIdentity/SetRuntimeIdentity" },
  { path: "x/connectplugin.v1.PluginControl/Shutdown" },
  { path: "/connectplugin.v1.PluginControl/Shutdown" },
])("the path $path never reaches a provider: by id, by any, by header, nor through an ingress", async ({ path }) => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start({ ingress: [{ prefix: "/", type: "web", access: "open" }] });
  const owner = await host.join("owner");
  await owner.serve({ serviceType: "web", metadata: { base_url: provider.url } });
  const statuses = [
    (await owner.call(`/services/web/${owner.runtimeId}/${path}`)).status,
    (await owner.call(`/services/web/any/${path}`)).status,
    (await owner.call(`/${path}`, { headers: { "x-plugin-target": "web/any" } })).status,
    (await host.raw({ path: `/${path}` })).status,
    (await host.raw({ path: `/_launch/x/${path}` })).status,
  ];
  expect(statuses.every((status) => status === 400)).toBe(true);
  expect(provider.requests).toEqual([]);
  expect((await owner.call("/services/web/any/good")).status).toBe(200);
});

test("a plugin cannot register the path of a service that only the host may call", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start();
  const owner = await host.join("owner");
  await owner.serve({ endpointPath: "/connectplugin.v1.PluginControl/", metadata: { base_url: provider.url } });
  expect((await owner.call("/services/logger/any/Shutdown")).status).toBe(400);
  expect(provider.requests).toEqual([]);
});

test.each([
  { path: "/nothing", method: "GET", status: 404 },
  { path: "/", method: "GET", status: 404 },
  { path: "/services", method: "GET", status: 404 },
  { path: "/services/", method: "POST", status: 400 },
  { path: "/healthz", method: "POST", status: 404 },
  { path: handshakePath, method: "PUT", status: 405 },
  { path: "/connectplugin.v1.PluginControl/Shutdown", method: "POST", status: 404 },
])("$method $path is $status", async ({ path, method, status }) => {
  await using host = await ContractHost.start();
  expect((await host.raw({ path, method })).status).toBe(status);
});

test.each(["/health", "/healthz", "/readyz", "//healthz", "/healthz?full"])(
  "%s says ok, to GET and HEAD",
  async (path) => {
    await using host = await ContractHost.start();
    expect(await host.raw({ method: "GET", path })).toMatchObject({ status: 200, text: "ok\n" });
    expect(await host.raw({ method: "HEAD", path })).toMatchObject({ status: 200, text: "" });
  },
);

test("while the host stops it is not ready, but alive, and takes no plugin", async () => {
  await using provider = await PlainProvider.start();
  provider.answers(() => {});
  await using host = await ContractHost.start({ stopBudgetMs: 5_000 });
  const owner = await host.join("owner");
  await owner.serve({ metadata: { base_url: provider.url } });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const arrived = new Promise<void>((resolve) =>
    provider.answers((exchange) => {
      resolve();
      finish = () => exchange.respond(200, [], true);
    }),
  );
  let finish = (): void => {};
  const call = owner.call("/services/logger/any/x");
  await arrived;
  const stopped = host.platform.stop();
  const page = async (path: string) => host.raw({ method: "GET", path, agent });
  expect(await page("/readyz")).toMatchObject({ status: 503, text: "stopping\n" });
  expect((await page("/healthz")).status).toBe(200);
  finish();
  expect((await call).status).toBe(200);
  await stopped;
});

test.each([
  { type: "application/json", body: JSON.stringify(greeting) },
  { type: "application/json; charset=utf-8", body: JSON.stringify(greeting) },
  {
    type: "application/proto",
    body: Buffer.from(toBinary(HandshakeRequestSchema, create(HandshakeRequestSchema, greeting))),
  },
])("an answer has the content type of its request, $type", async ({ type, body }) => {
  await using host = await ContractHost.start();
  const answer = await host.raw({ path: handshakePath, headers: { "content-type": type }, body });
  expect(answer.status).toBe(200);
  expect(answer.headers["content-type"]).toBe(type.replace(/;.*/, ""));
});

test("an answer that has nothing to say has length 0, in binary as in the contract", async () => {
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  const answer = await member.call("/connectplugin.v1.PluginLifecycle/ReportHealth", {
    headers: { "content-type": "application/proto", "content-length": "0" },
  });
  expect(answer.status).toBe(200);
  expect(answer.headers["content-type"]).toBe("application/proto");
  expect(answer.headers["content-length"]).toBe("0");
  expect(answer.body.length).toBe(0);
});

test.each(["application/xml", "text/plain", "application/protobuf"])(
  "a request in %s is refused with 415",
  async (type) => {
    await using host = await ContractHost.start();
    expect((await host.raw({ path: handshakePath, headers: { "content-type": type }, body: "x" })).status).toBe(415);
  },
);

test("gzip is taken, and given to who asks for it", async () => {
  const { gzipSync, gunzipSync } = await import("node:zlib");
  await using host = await ContractHost.start();
  const body = gzipSync(JSON.stringify({ ...greeting, clientMetadata: { filler: "x".repeat(2_000) } }));
  const answer = await host.raw({
    path: handshakePath,
    headers: { ...json, "content-encoding": "gzip", "accept-encoding": "gzip" },
    body,
  });
  expect(answer.status).toBe(200);
  const text = answer.headers["content-encoding"] === "gzip" ? gunzipSync(answer.body).toString() : answer.text;
  expect(JSON.parse(text)).toMatchObject({ coreProtocolVersion: 1 });
});

test.each([
  { what: "no JSON", body: "{" },
  { what: "JSON of another shape", body: '{"coreProtocolVersion":"one"}' },
  { what: "a list", body: "[]" },
])("$what is invalid_argument", async ({ body }) => {
  await using host = await ContractHost.start();
  const answer = await host.raw({ path: handshakePath, headers: json, body });
  expect(JSON.parse(answer.text)).toMatchObject({ code: "invalid_argument" });
});

test("a message beyond a megabyte is refused, and unknown fields are not", async () => {
  await using host = await ContractHost.start();
  expect((await host.handshake({ selfId: "a", clientMetadata: { a: "x".repeat(1_100_000) } })).code).toBe(
    "resource_exhausted",
  );
  expect((await host.handshake({ selfId: "a", somethingNew: { deep: true } })).code).toBeUndefined();
});
