import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { PluginIdentity } from "../../src/gen/connectplugin/v1/identity_pb.js";
import { definePlugin, type PluginEvent, servePlugin } from "../../src/plugin/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import { FakeHost } from "../support/fake-host.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { manualClock } from "../support/manual-clock.js";

const echoPlugin = definePlugin({
  id: "echo-plugin",
  version: "1.2.3",
  metadata: { team: "tests" },
  provides: { echo: { service: Echo, metadata: { zone: "a" } } },
  requires: { other: { minVersion: "^2.0.0", required: false } },
  setup: () => ({ echo: echoOnly("echo-plugin") }),
});

const clientOf = (url: string) =>
  createClient(PluginIdentity, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));

test("a self-registering plugin shakes hands, registers and reports healthy, in this order and with the contract's fields", async () => {
  await using host = await FakeHost.start();
  await using running = await servePlugin(echoPlugin, { hostUrl: host.url, env: {} });
  const own = host.calls.filter(({ name }) => name !== "WatchService");
  expect(own.map(({ name }) => name)).toEqual(["Handshake", "RegisterService", "ReportHealth"]);
  const [handshake, register, report] = own;
  expect(handshake?.message).toMatchObject({
    coreProtocolVersion: 1,
    appProtocolVersion: 1,
    magicCookieKey: "CONNECT_PLUGIN",
    magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
    selfId: "echo-plugin",
    selfVersion: "1.2.3",
    baseUrl: running.url,
  });
  expect(handshake?.authorization).toBeUndefined();
  // In one piece with its length, as plain servers like it.
  expect(own.map(({ contentLength }) => Number(contentLength) > 0)).toEqual([true, true, true]);
  expect(running.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(register?.message).toMatchObject({
    serviceType: "echo",
    version: "1.2.3",
    endpointPath: "/echo.v1.Echo/",
    metadata: { base_url: running.url, zone: "a", protocols: "h1,h2c" },
  });
  expect(report?.message).toMatchObject({ state: 1, reason: "", unavailableDependencies: [] });
  const token = host.identities.get(running.runtimeId ?? "");
  for (const call of [register, report]) {
    expect(call).toMatchObject({ runtimeId: running.runtimeId, authorization: `Bearer ${token}` });
  }
});

test("its port is open before it talks to the host", async () => {
  await using host = await FakeHost.start();
  const events: string[] = [];
  await using _ = await servePlugin(echoPlugin, {
    hostUrl: host.url,
    env: {},
    onEvent: ({ kind }) => events.push(kind),
  });
  expect(events.filter((kind) => kind !== "dependency")).toEqual(["listening", "identified", "registered"]);
});

test("GetPluginInfo says what was defined, and always the same", async () => {
  await using running = await servePlugin(echoPlugin, { env: {} });
  const client = clientOf(running.url);
  const info = await client.getPluginInfo({});
  expect(info).toMatchObject({
    selfId: "echo-plugin",
    selfVersion: "1.2.3",
    metadata: { team: "tests" },
    provides: [{ type: "echo", version: "1.2.3", path: "/echo.v1.Echo/" }],
    requires: [{ type: "other", minVersion: "^2.0.0", requiredForStartup: false, watchForChanges: true }],
  });
  expect(await client.getPluginInfo({})).toEqual(info);
});

test("a path in front of HOST_URL, such as a launch nonce or a join token, stays in front of every call", async () => {
  await using host = await FakeHost.create();
  const url = await host.listenTcp();
  await using _ = await servePlugin(echoPlugin, { env: { HOST_URL: `${url}/_launch/n0nce/` } });
  expect(host.named("Handshake")[0]?.path).toBe("/_launch/n0nce/Handshake");
  expect(host.registrations.size).toBe(1);
});

test("a join token goes with the handshake", async () => {
  await using host = await FakeHost.start({ joinToken: "sesame" });
  const env = { CONNECT_PLUGIN_JOIN_TOKEN: "sesame" };
  await using _ = await servePlugin(echoPlugin, { hostUrl: host.url, env });
  expect(host.named("Handshake")[0]?.authorization).toBe("Bearer sesame");
});

test("a plugin that is there before its host registers as soon as the host comes", async () => {
  await using host = await FakeHost.create();
  const clock = manualClock();
  const retries: PluginEvent[] = [];
  let retried: () => void = () => {};
  const twice = new Promise<void>((resolve) => {
    retried = resolve;
  });
  const served = servePlugin(echoPlugin, {
    hostUrl: host.url,
    env: {},
    clock,
    backOff: { random: () => 0.5 },
    onEvent: (event) => {
      if (event.kind !== "retrying") return;
      retries.push(event);
      if (retries.length === 3) retried();
      else queueMicrotask(() => clock.advance(event.delayMs));
    },
  });
  await twice;
  expect(retries.map((event) => event.kind === "retrying" && event.delayMs)).toEqual([75, 150, 300]);
  await host.listen();
  clock.advance(300);
  await using running = await served;
  expect(host.registrations.size).toBe(1);
  expect(running.runtimeId).toBeDefined();
});

test("a plugin whose host never comes fails after the start's time limit and leaves nothing behind", async () => {
  await using host = await FakeHost.create();
  const clock = manualClock();
  const events: PluginEvent[] = [];
  const served = servePlugin(echoPlugin, {
    hostUrl: host.url,
    env: {},
    clock,
    startTimeoutMs: 5_000,
    onEvent: (event) => {
      events.push(event);
      if (event.kind === "retrying") queueMicrotask(() => clock.advance(5_000));
    },
  });
  await expect(served).rejects.toMatchObject({ code: "STEP_TIMEOUT", step: "register" });
  const listening = events.find((event) => event.kind === "listening");
  await expect(fetch(listening?.kind === "listening" ? listening.url : "")).rejects.toThrow();
  expect(clock.pending).toBe(0);
});

test("a wrong cookie ends the start with the host's reason, without another try", async () => {
  await using host = await FakeHost.start({ cookieValue: "another" });
  const served = servePlugin(echoPlugin, { hostUrl: host.url, env: {} });
  await expect(served).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    message: "the host refuses the plugin: magic cookie does not match",
  });
  expect(host.named("Handshake")).toHaveLength(1);
});

test.each([
  { options: { handshake: { appVersion: 2 } }, code: "APP_VERSION_MISMATCH", joinToken: undefined },
  { options: {}, code: "UNAUTHENTICATED", joinToken: "sesame" },
])("a host that says no for good makes the start fail with $code", async ({ options, code, joinToken }) => {
  await using host = await FakeHost.start(joinToken === undefined ? {} : { joinToken });
  await expect(servePlugin(echoPlugin, { hostUrl: host.url, env: {}, ...options })).rejects.toMatchObject({ code });
});

test("when the host is restarted and has forgotten everything, the plugin registers again with a fresh identity", async () => {
  await using host = await FakeHost.start();
  await using running = await servePlugin(echoPlugin, {
    hostUrl: host.url,
    env: {},
    backOff: { firstMs: 1, longestMs: 2 },
  });
  const before = running.runtimeId;
  await host.kill();
  host.forget();
  host.calls.length = 0;
  await host.listen();
  await host.untilTrue(() => host.health.size === 1);
  const [renewal, fresh] = host.named("Handshake");
  expect(renewal?.runtimeId).toBe(before);
  expect(fresh?.runtimeId).toBeUndefined();
  expect(running.runtimeId).not.toBe(before);
  expect([...host.registrations.values()]).toMatchObject([{ runtimeId: running.runtimeId, type: "echo" }]);
});

test("when the host comes back with its memory, the plugin keeps its runtime id", async () => {
  await using host = await FakeHost.start();
  await using running = await servePlugin(echoPlugin, {
    hostUrl: host.url,
    env: {},
    backOff: { firstMs: 1, longestMs: 2 },
  });
  const before = running.runtimeId;
  await host.kill();
  host.calls.length = 0;
  await host.listen();
  await host.until("ReportHealth");
  expect(host.named("Handshake").map(({ runtimeId }) => runtimeId)).toEqual([before]);
  expect(running.runtimeId).toBe(before);
});

test("a plugin without dependencies finds out by its heartbeat that the host does not know it any more", async () => {
  await using host = await FakeHost.start();
  const clock = manualClock();
  const lonely = definePlugin({
    id: "lonely",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    setup: () => ({ echo: echoOnly("lonely") }),
  });
  let seen: (event: PluginEvent) => void = () => {};
  await using running = await servePlugin(lonely, {
    hostUrl: host.url,
    env: {},
    clock,
    heartbeatMs: 1_000,
    onEvent: (event) => seen(event),
  });
  const before = running.runtimeId;
  host.forget();
  seen = (event) => {
    if (event.kind === "retrying") queueMicrotask(() => clock.advance(event.delayMs));
  };
  clock.advance(1_000);
  await host.untilTrue(() => host.health.size === 1);
  expect(running.runtimeId).not.toBe(before);
  expect(host.registrations.size).toBe(1);
});

test("the token is renewed in time, with the old one in the headers, and without registering again", async () => {
  await using host = await FakeHost.start();
  const clock = manualClock();
  let renewed: () => void = () => {};
  const renewal = new Promise<void>((resolve) => {
    renewed = resolve;
  });
  await using running = await servePlugin(echoPlugin, {
    hostUrl: host.url,
    env: {},
    clock,
    heartbeatMs: 2_000_000_000,
    onEvent: (event) => event.kind === "identified" && event.renewed && renewed(),
  });
  const runtimeId = running.runtimeId ?? "";
  const oldToken = host.identities.get(runtimeId);
  clock.advance(8 * 60 * 60 * 1_000 - 1);
  expect(host.named("Handshake")).toHaveLength(1);
  clock.advance(1);
  await renewal;
  expect(host.named("Handshake")[1]).toMatchObject({ runtimeId, authorization: `Bearer ${oldToken}` });
  expect(host.identities.get(runtimeId)).not.toBe(oldToken);
  await running.stop();
  expect(host.named("RegisterService")).toHaveLength(1);
  // The farewell shows that the new token is in use.
  expect(host.named("UnregisterService")[0]?.authorization).toBe(`Bearer ${host.identities.get(runtimeId)}`);
});

test("stopping takes the registrations back and leaves no timer and no connection", async () => {
  await using host = await FakeHost.start();
  const clock = manualClock();
  const running = await servePlugin(echoPlugin, { hostUrl: host.url, env: {}, clock });
  await host.untilTrue(() => host.openWatches === 1);
  await Promise.all([running.stop(), running.stop()]);
  await running.ended;
  expect(host.registrations.size).toBe(0);
  expect(clock.pending).toBe(0);
  await host.untilTrue(() => host.openWatches === 0);
  await expect(fetch(running.url)).rejects.toThrow();
});

test("a plugin that is stopped while it waits for its host ends in order", async () => {
  await using host = await FakeHost.create();
  const clock = manualClock();
  const listeners = process.listenerCount("SIGUSR2");
  const served = servePlugin(echoPlugin, {
    hostUrl: host.url,
    env: {},
    clock,
    shutdownSignals: ["SIGUSR2"],
    onEvent: (event) => {
      if (event.kind === "retrying") process.kill(process.pid, "SIGUSR2");
    },
  });
  const stopped = await served;
  await stopped.ended;
  await expect(stopped.registered).rejects.toMatchObject({ code: "OPERATION_ABORTED" });
  expect(process.listenerCount("SIGUSR2")).toBe(listeners);
  expect(clock.pending).toBe(0);
});
