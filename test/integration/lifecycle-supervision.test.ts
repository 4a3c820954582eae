import { describe, expect, test } from "vitest";
import type { PlatformOptions, PluginSpec, Supervision } from "../../src/index.js";
import { startHost, type TestHost } from "../support/host.js";
import { crashable, echoPlugin, startEndpoint } from "../support/plugins.js";

/** Waits for what the test does; the second crash is one too many. */
const patient: PlatformOptions["supervision"] = { firstDelayMs: 60_000, maxDelayMs: 60_000, maxCrashes: 2 };
const quick: PlatformOptions["supervision"] = { firstDelayMs: 20, maxDelayMs: 20 };

const untilState = (host: TestHost, kind: Supervision["kind"]) =>
  host.next("supervision", ({ supervision }) => supervision.kind === kind);

async function readyz(host: TestHost): Promise<{ readonly status: number; readonly text: string }> {
  const answer = await fetch(`${host.url}/readyz`);
  return { status: answer.status, text: await answer.text() };
}

describe("while a plugin is down", () => {
  test("calls that name it get unavailable with the reason, and the time at which it is tried again", async () => {
    await using host = await startHost({ supervision: patient });
    const module = crashable(echoPlugin());
    const { runtimeId } = await host.platform.addPlugin({ module });
    const caller = await host.caller();
    const down = untilState(host, "restarting");
    module.crash("out of memory");
    await down;
    const headers = {
      "x-plugin-runtime-id": caller.identity.runtimeId,
      authorization: `Bearer ${caller.identity.token}`,
    };
    for (const id of [runtimeId, "any"]) {
      const answer = await fetch(`${host.url}/services/echo/${id}/echo.v1.Echo/Say`, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: "{}",
      });
      expect(answer.status).toBe(503);
      // Half of a minute for certain, the other half by chance.
      const retryAfter = Number(answer.headers.get("retry-after"));
      expect(retryAfter).toBeGreaterThanOrEqual(29);
      expect(retryAfter).toBeLessThanOrEqual(60);
      expect(await answer.json()).toMatchObject({
        code: "unavailable",
        message: expect.stringMatching(/out of memory; it is started again at \d{4}-/),
      });
    }
    expect(host.platform.plugin(runtimeId)).toMatchObject({
      state: "serving",
      health: "unhealthy",
      healthCause: "exit",
      supervision: { kind: "restarting", attempt: 1 },
    });
  });

  test("calls for any provider go to another one", async () => {
    await using host = await startHost({ supervision: patient });
    const module = crashable(echoPlugin());
    await host.platform.addPlugin({ module });
    await host.platform.addPlugin({ module: echoPlugin({ version: "2.0.0" }) });
    const caller = await host.caller();
    const down = untilState(host, "restarting");
    module.crash();
    await down;
    for (let call = 0; call < 4; call++) expect(await caller.providerOf("any")).toBe("echo@2.0.0");
  });

  test("it is not offered, and those that watch its type are told when it goes and when it is back", async () => {
    await using host = await startHost({ supervision: quick });
    const module = crashable(echoPlugin());
    await host.platform.addPlugin({ module });
    const caller = await host.caller();
    const end = new AbortController();
    const states: string[] = [];
    const again = host.next("supervision", ({ supervision }) => supervision.kind === "running");
    const watching = (async () => {
      const watch = caller.registry.watchService({ serviceType: "echo" }, { signal: end.signal });
      for await (const { state } of watch) {
        states.push(String(state));
        if (states.length === 1) module.crash();
        if (states.length === 3) return;
      }
    })();
    await again;
    await watching;
    end.abort();
    expect(states).toEqual(["1", "2", "1"]);
  });

  test("its dependants go on", async () => {
    await using host = await startHost({ supervision: quick });
    const logger = crashable(echoPlugin({ id: "logger", type: "logger" }));
    await host.platform.addPlugin({ module: logger });
    const app = await host.platform.addPlugin({ module: echoPlugin({ id: "app", type: "app", requires: ["logger"] }) });
    const again = untilState(host, "running");
    logger.crash();
    const { runtimeId } = await again;
    expect(host.platform.plugin(app.runtimeId)).toMatchObject({ runtimeId: app.runtimeId, state: "serving" });
    expect(host.platform.getImpact(runtimeId).affectedPlugins).toEqual([app.runtimeId]);
    expect(host.platform.getStartupOrder()).toEqual([runtimeId, app.runtimeId]);
  });
});

test("a plugin that crashed runs again under a new id, and the old one leads to it", async () => {
  await using host = await startHost({ supervision: quick });
  const module = crashable(echoPlugin());
  const first = await host.platform.addPlugin({ module });
  const caller = await host.caller();
  const again = untilState(host, "running");
  module.crash();
  const { runtimeId } = await again;
  expect(runtimeId).not.toBe(first.runtimeId);
  expect(await caller.providerOf(first.runtimeId)).toBe("echo@1.0.0");
  expect(host.platform.plugin(first.runtimeId).runtimeId).toBe(runtimeId);
  expect(host.platform.plugins().filter(({ selfId }) => selfId === "echo")).toHaveLength(1);
  expect(module.running).toBe(1);
  // The id that `addPlugin` gave is good for everything.
  const second = await host.platform.replacePlugin(first.runtimeId, { module: echoPlugin({ version: "2.0.0" }) });
  expect(await caller.providerOf(first.runtimeId)).toBe("echo@2.0.0");
  await host.platform.removePlugin(second.runtimeId);
  expect(module.running).toBe(0);
});

test("a quarantined plugin is repaired by a replacement, which keeps what was said of its supervision", async () => {
  await using host = await startHost({ supervision: { ...patient, maxCrashes: 1 } });
  const module = crashable(echoPlugin());
  const { runtimeId } = await host.platform.addPlugin({ module, importance: "degrade" });
  const quarantined = untilState(host, "quarantined");
  module.crash("it crashed");
  await quarantined;
  expect(await readyz(host)).toEqual({
    status: 200,
    text: expect.stringMatching(/^degraded\necho-\w+ \(degrade\) is down: it crashed; .* released or replaced\n$/),
  });
  const next = crashable(echoPlugin({ version: "2.0.0" }));
  const second = await host.platform.replacePlugin(runtimeId, { module: next });
  expect(second).toMatchObject({ importance: "degrade", supervision: { kind: "running" } });
  expect(await readyz(host)).toEqual({ status: 200, text: "ok\n" });
  const again = untilState(host, "quarantined");
  next.crash();
  await again;
});

test("a released plugin serves again when the release is over", async () => {
  await using host = await startHost({ supervision: { ...patient, maxCrashes: 1 } });
  const module = crashable(echoPlugin());
  const { runtimeId } = await host.platform.addPlugin({ module });
  const caller = await host.caller();
  const quarantined = untilState(host, "quarantined");
  module.crash();
  await quarantined;
  expect(await caller.providerOf(runtimeId)).toBe("unavailable");
  expect(await readyz(host)).toMatchObject({ status: 503, text: expect.stringMatching(/^not ready\necho-/) });
  const released = await host.platform.releasePlugin(runtimeId);
  expect(released).toMatchObject({ health: "healthy", supervision: { kind: "running", restarts: 0 } });
  expect(await caller.providerOf(runtimeId)).toBe("echo@1.0.0");
  expect(await readyz(host)).toEqual({ status: 200, text: "ok\n" });
});

test("ingress goes on while a required plugin is down", async () => {
  await using host = await startHost({
    supervision: patient,
    ingress: [{ prefix: "/", type: "echo", access: "open" }],
  });
  const module = crashable(echoPlugin({ id: "other", type: "other" }));
  await host.platform.addPlugin({ module });
  await host.platform.addPlugin({ module: echoPlugin() });
  const down = untilState(host, "restarting");
  module.crash();
  await down;
  expect((await readyz(host)).status).toBe(503);
  expect((await host.post("/echo.v1.Echo/Say", { text: "hi" })).status).toBe(200);
});

test("stopping while a plugin waits to be started again ends at once", async () => {
  await using host = await startHost({ supervision: patient });
  const module = crashable(echoPlugin());
  await host.platform.addPlugin({ module });
  const down = untilState(host, "restarting");
  module.crash();
  await down;
  const startedAt = performance.now();
  await host.platform.stop();
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  expect(module.running).toBe(0);
  await expect(host.platform.releasePlugin("echo")).rejects.toMatchObject({ code: "HOST_STOPPED" });
});

test.each([
  { have: { restart: true }, field: "restart", why: "an object says how" },
  { have: { restart: { firstDelay: 1 } }, field: "restart.firstDelay", why: "it is no option" },
  { have: { restart: { firstDelayMs: 2, maxDelayMs: 1 } }, field: "restart.maxDelayMs", why: "it is the shorter one" },
  { have: { restart: { maxCrashes: 0 } }, field: "restart.maxCrashes", why: "one is the least" },
  { have: { importance: "high" }, field: "importance", why: "there are three" },
])("a spec with $have is refused: $why", async ({ have, field }) => {
  await using host = await startHost();
  const adding = host.platform.addPlugin({ module: echoPlugin(), ...have } as unknown as PluginSpec);
  await expect(adding).rejects.toMatchObject({ code: "INVALID_ARGUMENT", field });
});

test("supervision can be off for all plugins but one", async () => {
  await using host = await startHost({ supervision: false });
  const [one, other] = [crashable(echoPlugin({ id: "one" })), crashable(echoPlugin({ id: "other" }))];
  const kept = await host.platform.addPlugin({ module: one });
  await host.platform.addPlugin({ module: other, restart: { firstDelayMs: 20 } });
  const [ended, again] = [untilState(host, "ended"), untilState(host, "running")];
  one.crash("it crashed");
  other.crash();
  await Promise.all([ended, again]);
  expect(host.platform.plugin(kept.runtimeId)).toMatchObject({ supervision: { kind: "ended" }, reason: "it crashed" });
});

describe("of a set", () => {
  const broken = echoPlugin({
    id: "broken",
    type: "broken",
    onSetup: () => {
      throw new Error("no database");
    },
  });

  test("a required plugin that does not start fails the others, degraded ones included", async () => {
    await using host = await startHost({ supervision: patient });
    const [one, other] = [crashable(echoPlugin()), broken];
    const adding = host.platform.addPlugins([
      { module: one },
      { module: other, importance: "degrade" },
      { module: other },
    ]);
    await expect(adding).rejects.toMatchObject({ code: "PLUGIN_FAILED", details: { index: 2 } });
    expect(host.platform.plugins()).toEqual([]);
    expect(one.running).toBe(0);
  });

  test("a plugin that may degrade the host is tried again, and serves as soon as it can", async () => {
    await using host = await startHost({ supervision: quick });
    let isBroken = true;
    const module = echoPlugin({
      onSetup: () => {
        if (isBroken) throw new Error("no database");
      },
    });
    const [other, absent] = await host.platform.addPlugins([
      { module: echoPlugin({ id: "other", type: "other" }) },
      { module, importance: "degrade" },
    ]);
    expect(other?.health).toBe("healthy");
    expect(absent).toMatchObject({
      selfId: "echo",
      health: "unhealthy",
      provides: [{ type: "echo" }],
      supervision: { kind: "restarting", attempt: 1, lastError: expect.stringContaining("no database") },
    });
    expect((await readyz(host)).text).toMatch(
      /^degraded\necho-\w+ \(degrade\) is down: it could not be started: .*no database/,
    );
    const again = untilState(host, "running");
    isBroken = false;
    await again;
    const caller = await host.caller();
    expect(await caller.providerOf(absent?.runtimeId ?? "")).toBe("echo@1.0.0");
    expect(await readyz(host)).toEqual({ status: 200, text: "ok\n" });
  });

  test("an optional plugin that does not start is a warning, and can be released", async () => {
    await using host = await startHost({ supervision: quick });
    let isBroken = true;
    const module = echoPlugin({
      onSetup: () => {
        if (isBroken) throw new Error("no database");
      },
    });
    const [absent] = await host.platform.addPlugins([
      { module, importance: "optional" },
      { module: echoPlugin({ id: "other", type: "other" }) },
    ]);
    expect(host.warnings).toEqual([
      expect.stringMatching(/^echo-\w+, which is optional, did not start: .*no database/),
    ]);
    expect(absent).toMatchObject({ supervision: { kind: "ended" } });
    expect(await readyz(host)).toEqual({ status: 200, text: "ok\n" });
    isBroken = false;
    await host.platform.releasePlugin(absent?.runtimeId ?? "");
    const caller = await host.caller();
    expect(await caller.providerOf("any")).toBe("echo@1.0.0");
  });

  test("a plugin that cannot be as it is said to be fails it, however important it is", async () => {
    await using host = await startHost();
    const bad = { command: "", importance: "optional" } as unknown as PluginSpec;
    await expect(host.platform.addPlugins([bad])).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(host.platform.plugins()).toEqual([]);
  });

  test("an endpoint that does not answer yet is added when it does", async () => {
    const endpoint = await startEndpoint();
    const { url } = endpoint;
    await endpoint.stop();
    await using host = await startHost({ supervision: quick, limits: { connectGraceMs: 20 } });
    const [absent] = await host.platform.addPlugins([{ endpoint: url, importance: "degrade" }]);
    expect(absent).toMatchObject({ selfId: "plugin", origin: "endpoint", supervision: { kind: "restarting" } });
    await host.platform.removePlugin(absent?.runtimeId ?? "");
    expect(host.platform.plugins()).toEqual([]);
  });
});
