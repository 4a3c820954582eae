import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect, onTestFinished, test } from "vitest";
import WebSocket, { WebSocketServer } from "ws";
import { PluginIdentity } from "../../src/gen/connectplugin/v1/identity_pb.js";
import { Platform, type PlatformOptions } from "../../src/index.js";
import type { WireProtocol } from "../../src/model/address.js";
import { servePlugin } from "../../src/plugin/index.js";
import type { RouterOptions } from "../../src/router/options.js";
import { createAuthority } from "../support/certificates.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { within } from "../support/http-server.js";
import { echoPlugin } from "../support/plugins.js";
import { callProbe, probe } from "../support/process-plugins.js";
import { pluginRecord, startRouter } from "../support/router-host.js";

const authority = createAuthority();
const certificate = authority.issue();
const { ca } = authority;
const pair = { cert: certificate.cert, key: certificate.key };

/** What a provider speaks over TLS. */
const kinds = {
  "HTTP/1.1": (options: https.ServerOptions, handler: http.RequestListener) => https.createServer(options, handler),
  "HTTP/2": (options: https.ServerOptions, handler: http.RequestListener) =>
    http2.createSecureServer(options as http2.SecureServerOptions, handler as never),
  both: (options: https.ServerOptions, handler: http.RequestListener) =>
    http2.createSecureServer({ ...(options as http2.SecureServerOptions), allowHTTP1: true }, handler as never),
};
type Kind = keyof typeof kinds;

interface SecureProvider {
  readonly port: number;
  readonly server: Server;
  /** HTTP version of each call. */
  readonly versions: string[];
  readonly connections: () => number;
}

async function startProvider(kind: Kind, options: https.ServerOptions = {}): Promise<SecureProvider> {
  const versions: string[] = [];
  let connections = 0;
  const echo = connectNodeAdapter({ routes: (router) => void router.service(Echo, echoOnly("secure")) });
  const server = kinds[kind]({ ...pair, ...options }, (req, res) => {
    versions.push(req.httpVersion);
    echo(req, res);
  }) as unknown as Server;
  server.on("secureConnection", () => connections++);
  server.on("sessionError", () => {}).on("tlsClientError", () => {});
  await listen(server);
  return { port: (server.address() as AddressInfo).port, server, versions, connections: () => connections };
}

async function listen(server: Server): Promise<void> {
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
}

/** A router in cleartext, in front of one provider over TLS. */
async function startHost(port: number, { protocols, ...options }: RouterOptions & { protocols?: WireProtocol[] } = {}) {
  const host = await startRouter({ tls: { ca }, startGraceMs: 0, ...options }, true);
  onTestFinished(() => host[Symbol.asyncDispose]());
  host.view.add(
    pluginRecord({ startedAt: Date.now(), address: { kind: "http", url: `https://127.0.0.1:${port}`, protocols } }),
  );
  return host;
}

const callers = {
  "Connect over HTTP/1.1": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "Connect over HTTP/2": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" }),
  gRPC: (baseUrl: string) => createGrpcTransport({ baseUrl }),
};

test.each<{ kind: Kind; caller: keyof typeof callers; version: string; protocols?: WireProtocol[] }>([
  { kind: "HTTP/1.1", caller: "Connect over HTTP/1.1", version: "1.1" },
  { kind: "HTTP/1.1", caller: "Connect over HTTP/2", version: "1.1" },
  { kind: "HTTP/2", caller: "Connect over HTTP/1.1", version: "2.0" },
  { kind: "HTTP/2", caller: "Connect over HTTP/2", version: "2.0" },
  { kind: "HTTP/2", caller: "gRPC", version: "2.0" },
  { kind: "HTTP/2", caller: "gRPC", version: "2.0", protocols: ["h2"] },
  { kind: "both", caller: "Connect over HTTP/1.1", version: "2.0" },
  { kind: "both", caller: "Connect over HTTP/2", version: "2.0" },
  { kind: "both", caller: "gRPC", version: "2.0" },
  { kind: "both", caller: "Connect over HTTP/2", version: "1.1", protocols: ["h1"] },
])("$caller to a provider that speaks $kind over TLS (declared: $protocols) goes on as $version", async (row) => {
  const provider = await startProvider(row.kind);
  const { url } = await startHost(provider.port, row.protocols === undefined ? {} : { protocols: row.protocols });
  const client = createClient(Echo, callers[row.caller](url));
  const before = provider.connections();
  provider.versions.length = 0;
  for (let call = 0; call < 3; call++) expect((await client.say({ text: "hi" })).text).toBe("hi");
  expect(provider.versions).toEqual([row.version, row.version, row.version]);
  // Once to find out, and once for the calls if it was not that.
  expect(provider.connections() - before).toBeLessThanOrEqual(2);
});

test("gRPC to a provider without HTTP/2 over TLS is refused with a reason", async () => {
  const provider = await startProvider("HTTP/1.1");
  const { url } = await startHost(provider.port);
  const client = createClient(Echo, createGrpcTransport({ baseUrl: url }));
  await expect(client.say({ text: "hi" })).rejects.toThrow(/HTTP\/2/);
});

const clients = createAuthority("Clients");

test.each<{ what: string; kind?: Kind; server?: https.ServerOptions; tls?: RouterOptions["tls"]; says: RegExp }>([
  { what: "from an unknown authority", tls: {}, says: /an authority that this host does not trust.*tls\.ca/ },
  {
    what: "from another authority than the one named",
    tls: { ca: createAuthority("Another").ca },
    says: /an authority that this host does not trust.*tls\.ca/,
  },
  {
    what: "for another name",
    server: authority.issue({ names: ["plugins.internal"] }),
    says: /for another name.*127\.0\.0\.1.*tls\.servername/,
  },
  {
    what: "for another name than servername",
    tls: { ca, servername: "plugins.internal" },
    says: /for another name.*plugins\.internal/,
  },
  { what: "that has expired", server: authority.issue({ notAfter: Date.now() - 60_000 }), says: /has expired/ },
])("a provider's certificate $what is a 502 that says so, for every kind of call", async ({ server, tls, says }) => {
  const provider = await startProvider("both", server);
  // The default lets a provider that has just started refuse connections for a while, which this is not.
  const { url } = await startHost(provider.port, { tls: tls ?? { ca }, startGraceMs: 60_000 });
  for (const caller of Object.values(callers)) {
    const call = createClient(Echo, caller(url)).say({ text: "hi" });
    await expect(within(4_000, "the refusal", call)).rejects.toThrow(says);
  }
  const answer = await fetch(`${url}/echo.v1.Echo/Say`);
  expect(answer.status).toBe(502);
  expect(await answer.text()).toMatch(says);
  expect(provider.versions).toEqual([]);
});

test("servername is the name that certificates have to be for", async () => {
  const provider = await startProvider("both", authority.issue({ names: ["plugins.internal"] }));
  const { url } = await startHost(provider.port, { tls: { ca, servername: "plugins.internal" } });
  for (const caller of Object.values(callers)) {
    expect((await createClient(Echo, caller(url)).say({ text: "hi" })).text).toBe("hi");
  }
});

test.each<Kind>(["HTTP/1.1", "both"])(
  "a provider over %s that wants a certificate of the host gets it, and is named if there is none",
  async (kind) => {
    const wants = { ca: clients.ca, requestCert: true, rejectUnauthorized: true };
    const provider = await startProvider(kind, wants);
    const mine = clients.issue({ names: ["the-host"] });
    const good = await startHost(provider.port, { tls: { ca, cert: mine.cert, key: mine.key } });
    const bad = await startHost(provider.port);
    const names =
      kind === "both" ? (Object.keys(callers) as (keyof typeof callers)[]) : (["Connect over HTTP/1.1"] as const);
    for (const name of names) {
      expect((await createClient(Echo, callers[name](good.url)).say({ text: "hi" })).text).toBe("hi");
      const refused = createClient(Echo, callers[name](bad.url)).say({ text: "hi" });
      await expect(within(4_000, "the refusal", refused)).rejects.toThrow(/certificate/);
    }
  },
);

test.each<{ kind: Kind; declares?: { metadata: { protocols: string } } }>([
  { kind: "HTTP/1.1" },
  { kind: "both" },
  { kind: "HTTP/2" },
  { kind: "HTTP/2", declares: { metadata: { protocols: "h2" } } },
])("a plugin that speaks $kind over TLS ($declares) is asked what it is", async ({ kind, declares }) => {
  const adapter = connectNodeAdapter({
    routes: (router) => {
      router.service(PluginIdentity, {
        getPluginInfo: () => ({ selfId: "secure", selfVersion: "1.0.0" }),
        setRuntimeIdentity: () => ({ acknowledged: true }),
      });
    },
  });
  const server = kinds[kind](pair, adapter) as unknown as Server;
  server.on("tlsClientError", () => {}).on("sessionError", () => {});
  await listen(server);
  const platform = new Platform({ router: { tls: { ca } } });
  onTestFinished(() => platform.stop());
  await platform.listen();
  const endpoint = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const plugin = await platform.addPlugin({
    endpoint,
    ...(declares && { declares: { selfId: "secure", ...declares } }),
  });
  expect(plugin).toMatchObject({ selfId: "secure", selfVersion: "1.0.0" });
});

test.each([
  { what: "that nobody trusts", options: pair, says: /an authority that this host does not trust/ },
  { what: "and wants one of the host", options: { ...pair, ca: clients.ca, requestCert: true }, says: /got none/ },
])("adding a plugin with a certificate $what fails with the reason", async ({ options, says }) => {
  const provider = await startProvider("HTTP/1.1", options);
  const tls = says.test("got none") ? { ca } : {};
  const platform = new Platform({ router: { tls }, limits: { connectGraceMs: 0 } });
  onTestFinished(() => platform.stop());
  const adding = platform.addPlugin({ endpoint: `https://127.0.0.1:${provider.port}` });
  await expect(adding).rejects.toMatchObject({ code: "PLUGIN_UNREACHABLE", message: expect.stringMatching(says) });
});

test("a provider that speaks no TLS is named as such", async () => {
  const server = http.createServer((_req, res) => void res.end());
  await listen(server);
  const { url } = await startHost((server.address() as AddressInfo).port);
  expect(await (await fetch(`${url}/`)).text()).toMatch(/does not speak TLS/);
});

test("a provider that accepts connections and does no handshake costs the time for connecting, and no more", async () => {
  const server = createServer(() => {});
  await listen(server);
  const { url } = await startHost((server.address() as AddressInfo).port, { connectTimeoutMs: 200 });
  const answer = await within(4_000, "the refusal", fetch(`${url}/`));
  expect({ status: answer.status, text: await answer.text() }).toEqual({
    status: 502,
    text: expect.stringMatching(/no HTTP\/2 connection within 200 ms/),
  });
});

test("WebSockets go through to a provider over TLS", async () => {
  const server = https.createServer(pair);
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(`echo ${data}`)));
  await listen(server);
  const { url } = await startHost((server.address() as AddressInfo).port);
  const socket = new WebSocket(`${url}/services/logger/any/chat`);
  onTestFinished(() => socket.terminate());
  await within(4_000, "the opening", once(socket, "open"));
  socket.send("hi");
  const [data] = await within(4_000, "the echo", once(socket, "message"));
  expect(String(data)).toBe("echo hi");
});

test.each<{ tls: Record<string, unknown>; field: string }>([
  { tls: { ca: "/etc/ca.pem" }, field: "router.tls.ca" },
  { tls: { cert: pair.cert }, field: "router.tls.key" },
  { tls: { key: pair.key }, field: "router.tls.cert" },
  { tls: { ...pair, key: authority.issue().key }, field: "router.tls.key" },
  { tls: { servername: "a b" }, field: "router.tls.servername" },
  { tls: { insecure: true }, field: "router.tls.insecure" },
])("the option router.tls $tls is refused with the name $field", ({ tls, field }) => {
  expect(() => new Platform({ router: { tls } })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field }));
});

/** A host whose port speaks TLS, with a certificate of the test's authority. */
async function startSecureHost(options: PlatformOptions = {}) {
  const platform = new Platform(options);
  onTestFinished(() => platform.stop());
  await platform.listen({ port: 0, tls: { ...pair, ca } });
  return { platform, url: platform.url as string };
}

const providerOf = (platform: Platform) => platform.client(Echo, { type: "echo" }).say({ text: "hi" });

test.each([
  { what: "the option ca", given: { ca, env: {} } },
  { what: "HOST_CA", given: { env: { HOST_CA: ca } } },
  { what: "HOST_CA_FILE", given: { env: { HOST_CA_FILE: join(tmpdir(), `host-ca-${process.pid}.pem`) } } },
])("a plugin of the SDK registers itself over https with $what, and serves over TLS itself", async ({ given }) => {
  const file = "HOST_CA_FILE" in given.env ? (given.env.HOST_CA_FILE as string) : undefined;
  if (file !== undefined) {
    writeFileSync(file, ca);
    onTestFinished(() => rmSync(file));
  }
  const { platform, url } = await startSecureHost({ router: { tls: { ca } } });
  const served = await servePlugin(echoPlugin(), {
    ...given,
    hostUrl: url,
    tls: pair,
    startTimeoutMs: 5_000,
    graceMs: 500,
  });
  onTestFinished(() => served.stop());
  expect(served.url).toMatch(/^https:/);
  await within(5_000, "the plugin's health", untilHealthy(platform));
  expect(await providerOf(platform)).toMatchObject({ text: "hi", provider: "echo@1.0.0" });
});

test("a plugin that the host manages over https finds its dependencies through the host's own https", async () => {
  const { platform, url } = await startSecureHost({ router: { tls: { ca } } });
  const logger = await servePlugin(echoPlugin({ id: "logger", type: "logger" }), { env: {}, tls: pair, graceMs: 500 });
  onTestFinished(() => logger.stop());
  await platform.addPlugin({ endpoint: logger.url });
  let logs: Client<typeof Echo> | undefined;
  const app = await servePlugin(
    echoPlugin({
      id: "app",
      requires: ["logger"],
      onSetup: ({ client }) => {
        logs = client("logger" as never) as never;
      },
    }),
    { env: {}, ca, tls: pair, graceMs: 500 },
  );
  onTestFinished(() => app.stop());
  const view = await platform.addPlugin({ endpoint: app.url });
  expect([view.origin, url.startsWith("https:")]).toEqual(["endpoint", true]);
  expect((await logs?.say({ text: "hi" }))?.provider).toBe("logger@1.0.0");
});

test("a plugin that does not trust the host says so, and is not registered", async () => {
  const { platform, url } = await startSecureHost();
  const serving = servePlugin(echoPlugin(), { hostUrl: url, env: {}, startTimeoutMs: 500, graceMs: 100 });
  await expect(serving).rejects.toMatchObject({ code: "STEP_TIMEOUT" });
  expect(platform.plugins()).toEqual([]);
});

test.each([
  { given: { ca: "x" }, field: "ca" },
  { given: { env: { HOST_CA: "x" } }, field: "HOST_CA" },
  { given: { env: { HOST_CA_FILE: "/never/there.pem" } }, field: "HOST_CA_FILE" },
  { given: { tls: { cert: "x", key: "x" } }, field: "tls.cert" },
  { given: { tls: pair, path: "/tmp/x.sock" }, field: "tls" },
])("a plugin's options $given are refused with the name $field", async ({ given, field }) => {
  const serving = servePlugin(echoPlugin(), { env: {}, ...given });
  await expect(serving).rejects.toMatchObject({ code: "INVALID_ARGUMENT", field });
});

test("a program that the host launches gets the host's private authority, and its https URL", async () => {
  const { platform, url } = await startSecureHost();
  const plugin = await platform.addPlugin(probe());
  const { environment } = await callProbe(plugin.endpointUrl);
  expect(environment.HOST_CA?.trim()).toBe(ca.trim());
  expect(environment.HOST_URL).toMatch(new RegExp(`^${url}/_launch/`));
});

async function untilHealthy(platform: Platform): Promise<void> {
  if (platform.plugins()[0]?.health === "healthy") return;
  await new Promise<void>((resolve) => {
    const off = platform.on("health", () => {
      if (platform.plugins()[0]?.health !== "healthy") return;
      off();
      resolve();
    });
  });
}
