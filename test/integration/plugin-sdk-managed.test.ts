import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { HealthService, ServingStatus } from "../../src/gen/connectplugin/health/v1/health_pb.js";
import { PluginControl } from "../../src/gen/connectplugin/v1/control_pb.js";
import { PluginIdentity } from "../../src/gen/connectplugin/v1/identity_pb.js";
import { deferred } from "../../src/internal/deferred.js";
import { definePlugin, type PluginContext, type ServedPlugin, servePlugin } from "../../src/plugin/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import { FakeHost } from "../support/fake-host.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";

const definitionWith = (onSetup: (plugin: PluginContext) => void = () => {}) =>
  definePlugin({
    id: "Echo-Plugin",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    setup: (plugin) => {
      onSetup(plugin as unknown as PluginContext);
      return { echo: echoOnly("echo") };
    },
  });

const http1 = (url: string) => createConnectTransport({ baseUrl: url, httpVersion: "1.1" });

describe("a managed plugin", () => {
  test("waits for its identity, then registers and reports health with it", async () => {
    await using host = await FakeHost.start();
    await using running = await servePlugin(definitionWith(), { env: {} });
    expect(host.calls).toEqual([]);
    const runtimeId = await host.manage(running.url);
    await running.registered;
    expect(host.calls.map(({ name }) => name)).toEqual(["RegisterService", "ReportHealth"]);
    expect(host.calls.every((call) => call.runtimeId === runtimeId)).toBe(true);
    expect(running.runtimeId).toBe(runtimeId);
    expect(host.registrations.size).toBe(1);
  });

  test("takes the same identity with another token as a rotation: no second registration, new token from then on", async () => {
    await using host = await FakeHost.start();
    let plugin: PluginContext | undefined;
    await using running = await servePlugin(
      definitionWith((given) => {
        plugin = given;
      }),
      { env: {} },
    );
    const runtimeId = await host.manage(running.url);
    await running.registered;
    await host.manage(running.url, { runtimeId, token: "second" });
    plugin?.reportHealth("degraded", "disk almost full");
    const [, report] = await host.until("ReportHealth", 2);
    expect(report).toMatchObject({ runtimeId, authorization: "Bearer second" });
    expect(report?.message).toMatchObject({ state: 2, reason: "disk almost full" });
    expect(host.named("RegisterService")).toHaveLength(1);
  });

  test("registers again when it gets another identity", async () => {
    await using host = await FakeHost.start();
    await using running = await servePlugin(definitionWith(), { env: {} });
    await host.manage(running.url);
    await running.registered;
    const second = await host.manage(running.url);
    await host.until("ReportHealth", 2);
    expect(host.named("RegisterService").map((call) => call.runtimeId)).toEqual([expect.any(String), second]);
  });

  test("acknowledges an identity without a host URL and calls nobody", async () => {
    await using host = await FakeHost.start();
    await using running = await servePlugin(definitionWith(), { env: {} });
    const runtimeId = await host.manage(running.url, { hostUrl: "" });
    expect(running.runtimeId).toBe(runtimeId);
    expect(host.calls).toEqual([]);
  });

  test.each([
    { request: { runtimeId: "", runtimeToken: "t", hostUrl: "" }, field: "runtime_id" },
    { request: { runtimeId: "a-1", runtimeToken: "t", hostUrl: "ftp://nowhere" }, field: "host_url" },
  ])("refuses an identity with a bad $field", async ({ request, field }) => {
    await using running = await servePlugin(definitionWith(), { env: {} });
    const refusal = createClient(PluginIdentity, http1(running.url)).setRuntimeIdentity(request);
    await expect(refusal).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining(field),
    });
  });

  test("tells its health as it last reported it", async () => {
    let plugin: PluginContext | undefined;
    await using running = await servePlugin(
      definitionWith((given) => {
        plugin = given;
      }),
      { env: {} },
    );
    const control = createClient(PluginControl, http1(running.url));
    const health = createClient(HealthService, http1(running.url));
    expect(await control.getHealth({})).toMatchObject({ state: 1, reason: "" });
    const seen: ServingStatus[] = [];
    const watching = (async () => {
      for await (const { status } of health.watch({ service: "echo" })) {
        seen.push(status);
        plugin?.reportHealth("unhealthy", "out of memory");
        if (seen.length === 2) return;
      }
    })();
    await watching;
    expect(seen).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
    expect(await control.getHealth({})).toMatchObject({ state: 3, reason: "out of memory" });
    expect(await health.check({ service: "" })).toMatchObject({ status: ServingStatus.NOT_SERVING });
    await expect(health.check({ service: "nobody" })).rejects.toMatchObject({ code: Code.NotFound });
  });
});

describe("shutdown", () => {
  const slowPlugin = () => {
    const arrived = deferred();
    const release = deferred();
    const stopped: string[] = [];
    const plugin = definePlugin({
      id: "slow",
      version: "1.0.0",
      provides: { echo: { service: Echo } },
      setup: (context) => {
        context.onStop(() => void stopped.push("first added"));
        context.onStop(async () => {
          stopped.push("last added");
        });
        return {
          echo: {
            ...echoOnly("slow"),
            say: async ({ text }) => {
              arrived.resolve();
              await release.promise;
              return { text };
            },
          },
        };
      },
    });
    return { plugin, arrived: arrived.promise, release: release.resolve, stopped };
  };

  test("is acknowledged, lets the call in flight finish, takes no new one, and then everything is closed", async () => {
    const { plugin, arrived, release, stopped } = slowPlugin();
    const running: ServedPlugin = await servePlugin(plugin, { env: {} });
    const echo = createClient(Echo, http1(running.url));
    const answer = echo.say({ text: "hi" });
    await arrived;
    const control = createClient(PluginControl, http1(running.url));
    expect(await control.shutdown({ gracePeriodSeconds: 10, reason: "test" })).toMatchObject({ acknowledged: true });
    const second = createClient(Echo, createGrpcTransport({ baseUrl: running.url })).say({ text: "late" });
    await expect(second).rejects.toMatchObject({ code: Code.Unavailable });
    expect(stopped).toEqual([]);
    release();
    expect(await answer).toMatchObject({ text: "hi" });
    await running.ended;
    expect(stopped).toEqual(["last added", "first added"]);
    await expect(fetch(running.url)).rejects.toThrow();
  });

  test("cuts off what is still in flight when the grace period ends", async () => {
    const { plugin, arrived } = slowPlugin();
    const running = await servePlugin(plugin, { env: {} });
    const answer = createClient(Echo, http1(running.url)).say({ text: "hi" });
    const broken = expect(answer).rejects.toBeInstanceOf(ConnectError);
    await arrived;
    await createClient(PluginControl, http1(running.url)).shutdown({ gracePeriodSeconds: 0 });
    await running.ended;
    await broken;
  });
});

describe("a plugin's server", () => {
  test.each([
    { protocol: "Connect over HTTP/1.1", transport: http1 },
    {
      protocol: "Connect over HTTP/2",
      transport: (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" }),
    },
    { protocol: "gRPC", transport: (baseUrl: string) => createGrpcTransport({ baseUrl }) },
    {
      protocol: "gRPC-web",
      transport: (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
    },
  ])("answers $protocol on its one port", async ({ transport }) => {
    await using running = await servePlugin(definitionWith(), { env: {} });
    expect(await createClient(Echo, transport(running.url)).say({ text: "hi" })).toMatchObject({ text: "hi" });
  });

  test.each([
    { type: "application/json", body: "{}" },
    { type: "application/proto", body: "" },
  ])("answers $type with $type", async ({ type, body }) => {
    await using running = await servePlugin(definitionWith(), { env: {} });
    const url = `${running.url}/connectplugin.v1.PluginIdentity/GetPluginInfo`;
    const answer = await fetch(url, { method: "POST", headers: { "content-type": type }, body });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe(type);
    await answer.arrayBuffer();
  });

  test("serves fetch-style and Node handlers at their paths, the longest first, and 404 elsewhere", async () => {
    const web = definePlugin({
      id: "web",
      version: "1.0.0",
      provides: { pages: { handler: "fetch", path: "/pages" }, raw: { handler: "node", path: "/pages/raw/" } },
      setup: () => ({
        pages: async (request) => new Response(`page ${new URL(request.url).pathname} ${await request.text()}`),
        raw: (request, response) => response.end(`raw ${request.url}`),
      }),
    });
    await using running = await servePlugin(web, { env: {} });
    const get = async (path: string, init?: RequestInit) => (await fetch(running.url + path, init)).text();
    expect(await get("/pages/one?x=1", { method: "POST", body: "body" })).toBe("page /pages/one body");
    expect(await get("/pages/raw/two")).toBe("raw /pages/raw/two");
    expect((await fetch(`${running.url}/elsewhere`)).status).toBe(404);
    expect((await fetch(`${running.url}/connectplugin.v1.Nothing/Here`)).status).toBe(404);
  });

  test("listens on a Unix socket if asked", async () => {
    await using host = await FakeHost.create();
    const path = `${host.url.slice("unix:".length)}-plugin`;
    await using running = await servePlugin(definitionWith(), { path, env: {} });
    expect(running.url).toBe(`unix:${path}`);
  });
});

describe("setup that fails", () => {
  test("makes the start fail with its reason, and closes the port", async () => {
    const broken = definePlugin({
      id: "broken",
      version: "1.0.0",
      provides: { echo: { service: Echo } },
      setup: async () => {
        throw new Error("no database");
      },
    });
    let url = "";
    const served = servePlugin(broken, {
      env: {},
      onEvent: (event) => {
        if (event.kind === "listening") url = event.url;
      },
    });
    await expect(served).rejects.toMatchObject({
      code: "PLUGIN_FAILED",
      message: "setup of broken failed: no database",
    });
    if (url !== "") await expect(fetch(url)).rejects.toThrow();
  });

  test("without an implementation for a provided service names the service", async () => {
    const empty = definePlugin({
      id: "empty",
      version: "1.0.0",
      provides: { echo: { service: Echo } },
      // @ts-expect-error an implementation of echo is missing
      setup: () => ({}),
    });
    await expect(servePlugin(empty, { env: {} })).rejects.toMatchObject({
      code: "PLUGIN_FAILED",
      message: "setup of empty returned no implementation of echo",
    });
  });
});
