import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { HandshakeService } from "../../src/gen/connectplugin/v1/handshake_pb.js";
import { connectHandler } from "../../src/http/connect-handler.js";
import { definePlugin, servePlugin } from "../../src/plugin/index.js";
import { ContractHost, greeting, PlainProvider } from "../support/contract-host.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startServer, within } from "../support/http-server.js";

const echoPlugin = (version = "1.0.0", id = "echo-plugin") =>
  definePlugin({
    id,
    version,
    provides: { echo: { service: Echo, version } },
    setup: () => ({ echo: echoOnly(`${id} ${version}`) }),
  });

async function socketPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "deployment-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, "plugin.sock");
}

const untilThereAre = (host: ContractHost, selfId: string, count: number) =>
  within(
    5_000,
    `${count} of ${selfId}`,
    host.until(() => host.platform.plugins().filter((view) => view.selfId === selfId).length === count),
  );

test("an endpoint that is no plugin is one by what the caller declares for it", async () => {
  await using provider = await PlainProvider.start("plain");
  await using host = await ContractHost.start();
  const view = await host.platform.addPlugin({
    endpoint: provider.url,
    declares: { selfId: "plain", selfVersion: "2.0.0", provides: [{ type: "web", version: "2.0.0", path: "/base" }] },
  });
  expect(view).toMatchObject({ selfId: "plain", selfVersion: "2.0.0", origin: "endpoint", health: "healthy" });
  const caller = await host.join("caller");
  expect(await caller.call("/services/web/any/x")).toMatchObject({ status: 200, text: "plain" });
  expect(provider.requests.map(({ url }) => url)).toEqual(["/base/x"]);
});

test("an endpoint that is no plugin and of which nothing is declared is refused, and nothing is left", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start();
  await expect(host.platform.addPlugin({ endpoint: provider.url })).rejects.toMatchObject({
    code: "PLUGIN_PROTOCOL",
    step: "describe",
    message: expect.stringContaining("declares"),
  });
  expect(host.platform.plugins()).toEqual([]);
});

/** A program that serves the handshake itself, as those of the Go library's `Serve()` do. */
async function handshakeServer(plugins: readonly { name: string; version: string; servicePath: string }[]) {
  const greetings: unknown[] = [];
  const handler = connectHandler({
    routes: (router) => {
      router.service(HandshakeService, {
        handshake: (request) => {
          greetings.push({ ...request });
          return { coreProtocolVersion: 1, appProtocolVersion: 1, plugins: plugins.map((plugin) => ({ ...plugin })) };
        },
      });
      router.service(Echo, echoOnly("served"));
    },
  });
  const server = await startServer({
    handler: async (exchange) => {
      if ((await handler.handle(exchange)) === false) exchange.respond(404, [], true);
    },
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return { url: server.url, greetings };
}

test("an endpoint that serves the handshake is greeted as by a client, and its list of plugins taken for services", async () => {
  const server = await handshakeServer([
    { name: "echo", version: "1.4.0", servicePath: "/echo.v1.Echo/" },
    { name: "other", version: "1.0.0", servicePath: "/other/" },
  ]);
  await using host = await ContractHost.start();
  const view = await host.platform.addPlugin({ endpoint: server.url });
  expect(server.greetings).toMatchObject([{ ...greeting, selfId: "" }]);
  expect(view.provides).toEqual([
    { type: "echo", version: "1.4.0", path: "/echo.v1.Echo/" },
    { type: "other", version: "1.0.0", path: "/other/" },
  ]);
  expect(await host.platform.client(Echo).say({ text: "hi" })).toMatchObject({ text: "hi", provider: "served" });
});

test("what is declared for an endpoint that serves the handshake names it, and must fit", async () => {
  const server = await handshakeServer([{ name: "echo", version: "1.0.0", servicePath: "/echo.v1.Echo/" }]);
  await using host = await ContractHost.start();
  await expect(
    host.platform.addPlugin({
      endpoint: server.url,
      declares: { selfId: "served", provides: [{ type: "echo", version: "9.0.0" }] },
    }),
  ).rejects.toMatchObject({ code: "DECLARATION_MISMATCH" });
  const view = await host.platform.addPlugin({
    endpoint: server.url,
    declares: { selfId: "served", provides: [{ type: "echo", version: "1.0.0" }] },
  });
  expect(view).toMatchObject({ selfId: "served", provides: [{ path: "/echo.v1.Echo/" }] });
});

test("an endpoint that had registered itself is adopted: one plugin, the same runtime id", async () => {
  await using host = await ContractHost.start();
  await using served = await servePlugin(echoPlugin(), { hostUrl: host.url, env: {} });
  const before = served.runtimeId;
  const view = await host.platform.addPlugin({ endpoint: served.url });
  expect(view).toMatchObject({ runtimeId: before, origin: "endpoint" });
  expect(host.platform.plugins().map(({ runtimeId }) => runtimeId)).toEqual([before]);
  expect(view.provides.length).toBe(1);
  await expect(host.platform.addPlugin({ endpoint: served.url })).rejects.toMatchObject({ code: "ENDPOINT_IN_USE" });
});

test("a plugin that starts again at the same base_url replaces its earlier start at once", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start();
  const metadata = { base_url: provider.url };
  const before = await host.join("logger");
  await before.serve({ metadata });
  const after = await host.join("logger");
  await after.serve({ metadata });
  expect(host.platform.plugins().map(({ runtimeId }) => runtimeId)).toEqual([after.runtimeId]);
  expect((await before.report("unhealthy")).code).toBe("unauthenticated");
  expect((await after.discover("logger")).body).toMatchObject({
    endpoint: { providerId: after.runtimeId },
    singleProvider: true,
  });
  // Who still holds the old id gets the new start.
  expect((await after.call(`/services/logger/${before.runtimeId}/x`)).status).toBe(200);
});

test("a late message of an earlier start changes nothing of the later one", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start();
  const metadata = { base_url: provider.url };
  const before = await host.join("logger");
  const registrationId = await before.serve({ metadata });
  const after = await host.join("logger");
  await after.serve({ metadata });
  const late = {
    RegisterService: { serviceType: "logger", version: "9.0.0", endpointPath: "/" },
    UnregisterService: { registrationId },
    ReportHealth: { state: 3 },
    DiscoverService: { serviceType: "logger" },
  };
  for (const [name, message] of Object.entries(late)) {
    expect((await before.rpc(name, message)).code, name).toBe("unauthenticated");
  }
  expect(host.platform.plugins()).toMatchObject([
    { runtimeId: after.runtimeId, health: "healthy", provides: [{ version: "1.0.0" }] },
  ]);
});

test("the same self id at another base_url is a replica", async () => {
  await using one = await PlainProvider.start("one");
  await using two = await PlainProvider.start("two");
  await using host = await ContractHost.start();
  const [first, second] = [await host.join("logger"), await host.join("logger")];
  await first.serve({ metadata: { base_url: one.url } });
  await second.serve({ metadata: { base_url: two.url } });
  const answers = [await first.call("/services/logger/any/x"), await first.call("/services/logger/any/x")];
  expect(answers.map(({ text }) => text).sort()).toEqual(["one", "two"]);
});

test("a plugin in a Unix socket is called and polled there, managed", async () => {
  await using host = await ContractHost.start();
  await using served = await servePlugin(echoPlugin(), { path: await socketPath(), env: {} });
  expect(served.url).toMatch(/^unix:\//);
  const view = await host.platform.addPlugin({ endpoint: served.url });
  expect(view).toMatchObject({ endpointUrl: served.url, health: "healthy" });
  expect(await host.platform.client(Echo).say({ text: "hi" })).toMatchObject({ text: "hi" });
});

test("a plugin in a Unix socket registers itself at a host in a Unix socket", async () => {
  const path = await socketPath();
  const host = await ContractHost.start({}, { path });
  await using _ = host;
  await using served = await servePlugin(echoPlugin(), { path: await socketPath(), hostUrl: `unix:${path}`, env: {} });
  await within(
    5_000,
    "health",
    host.until(() => host.platform.plugins()[0]?.health === "healthy"),
  );
  expect(host.platform.plugins()).toMatchObject([{ runtimeId: served.runtimeId, endpointUrl: served.url }]);
  expect(await host.platform.client(Echo).say({ text: "hi" })).toMatchObject({ text: "hi" });
});

test("what a plugin that declares nothing discovers, watches and calls is its observed, optional dependency", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start();
  const logger = await host.join("logger");
  for (const serviceType of ["found", "called"])
    await logger.serve({ serviceType, metadata: { base_url: provider.url } });
  await using own = await PlainProvider.start();
  const user = await host.join("user");
  await user.serve({ serviceType: "using", metadata: { base_url: own.url } });
  await user.discover("found");
  await user.call("/services/called/any/x");
  await user.discover("nobody-has-it");
  expect(host.platform.plugin(user.runtimeId).requires).toEqual(
    ["found", "called", "nobody-has-it"].map((type) => ({
      type,
      minVersion: "",
      required: false,
      watch: false,
      source: "observed",
    })),
  );
  expect(host.platform.getImpact(logger.runtimeId)).toEqual({
    affectedServices: ["found", "called"],
    affectedPlugins: [],
    optionalImpact: [user.runtimeId],
  });
});

test("any applies the range that the caller declared for the type", async () => {
  await using host = await ContractHost.start();
  await host.platform.addPlugins(
    ["1.5.0", "2.0.0"].map((version) => ({ module: echoPlugin(version, `echo-${version[0]}`) })),
  );
  await using served = await servePlugin(
    definePlugin({
      id: "relay",
      version: "1.0.0",
      requires: { echo: { service: Echo, minVersion: "^1" } },
      provides: { relay: { service: Echo } },
      setup: (plugin) => ({ relay: { ...echoOnly("relay"), say: ({ text }) => plugin.client("echo").say({ text }) } }),
    }),
    { env: {} },
  );
  await host.platform.addPlugin({ endpoint: served.url });
  const relay = host.platform.client(Echo, { type: "relay" });
  const providers = new Set<string>();
  for (let count = 0; count < 4; count++) providers.add((await relay.say({ text: "x" })).provider);
  expect([...providers]).toEqual(["echo-1 1.5.0"]);
});

test("a set is added in the order of what is declared for it, whatever the order of the list", async () => {
  await using one = await PlainProvider.start();
  await using two = await PlainProvider.start();
  await using host = await ContractHost.start();
  const added: string[] = [];
  host.platform.on("plugin-added", ({ plugin }) => added.push(plugin.selfId));
  await host.platform.addPlugins([
    { endpoint: two.url, declares: { selfId: "needy", requires: [{ type: "base", minVersion: "^1" }] } },
    { endpoint: one.url, declares: { selfId: "base", provides: [{ type: "base", version: "1.0.0" }] } },
  ]);
  expect(added).toEqual(["base", "needy"]);
});

test("a self-registered plugin that unregisters and goes is soon forgotten", async () => {
  await using host = await ContractHost.start({ health: { intervalMs: 50, retryMs: 20 } });
  const served = await servePlugin(echoPlugin(), { hostUrl: host.url, env: {} });
  await untilThereAre(host, "echo-plugin", 1);
  await served.stop();
  await untilThereAre(host, "echo-plugin", 0);
});

test("an endpoint that answers every path with some JSON can be added with what was declared for it", async () => {
  await using host = await ContractHost.start();
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "application/json" }).end('{"message":"hello"}');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const provides = [{ type: "hello", version: "1.0.0" }];
    const plugin = await host.platform.addPlugin({ endpoint, declares: { selfId: "hello", provides } });
    expect(plugin).toMatchObject({ selfId: "hello", health: "healthy" });
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("a self-registered plugin that stops is not listed any more a moment later", async () => {
  await using host = await ContractHost.start();
  const running = await servePlugin(echoPlugin(), { port: 0, hostUrl: host.url });
  await untilThereAre(host, "echo-plugin", 1);
  const stoppedAt = performance.now();
  await running.stop();
  await untilThereAre(host, "echo-plugin", 0);
  // Polls of plugins that seem well are ten seconds apart.
  expect(performance.now() - stoppedAt).toBeLessThan(3_000);
});
