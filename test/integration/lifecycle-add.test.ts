import http from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { type PlatformOptions, PluginHostError, type PluginSpec } from "../../src/index.js";
import { deferred } from "../../src/internal/deferred.js";
import { startHost, type TestHost } from "../support/host.js";
import {
  crashable,
  echoPlugin,
  type FakePlugin,
  type FakePluginOptions,
  stall,
  startEndpoint,
  startFakePlugin,
} from "../support/plugins.js";

const addSteps = ["validate", "describe", "identify", "register", "health", "graph", "announce"];
const complete = addSteps.flatMap((step) => [`add ${step} started`, `add ${step} done`]);

const failureOf = (promise: Promise<unknown>): Promise<PluginHostError> =>
  promise.then(
    () => expect.fail("it should have failed"),
    (error: unknown) => {
      expect(error).toBeInstanceOf(PluginHostError);
      return error as PluginHostError;
    },
  );

/** Whatever failed, nothing of it is there: in the lists, in the graph, at the router, among the tokens. */
async function expectNothingLeft(host: TestHost, plugin?: FakePlugin): Promise<void> {
  const { platform } = host;
  expect(platform.plugins()).toEqual([]);
  expect(platform.registry.services()).toEqual([]);
  expect(platform.getStartupOrder()).toEqual([]);
  if (plugin === undefined) return;
  for (const { runtimeId, runtimeToken: token } of plugin.identities) {
    const discover = "/connectplugin.v1.ServiceRegistry/DiscoverService";
    expect((await host.post(discover, { serviceType: "echo" }, { runtimeId, token })).status).toBe(401);
    const caller = await host.caller();
    expect(await caller.providerOf(runtimeId)).toBe("not_found");
  }
  await plugin.untilQuiet();
}

describe("the seven steps of adding run in order, each with an event when it starts and when it is done", () => {
  test("for an endpoint", async () => {
    await using host = await startHost();
    await using endpoint = await startEndpoint();
    const plugin = await host.platform.addPlugin({ endpoint: endpoint.url });
    expect(host.steps).toEqual(complete);
    expect(new Set(host.stepEvents.map(({ operationId }) => operationId)).size).toBe(1);
    expect(host.stepEvents.at(-1)).toMatchObject({ runtimeId: plugin.runtimeId, error: undefined });
    const caller = await host.caller();
    expect(await caller.providerOf(plugin.runtimeId)).toBe("echo@1.0.0");
  });

  test("for a module", async () => {
    await using host = await startHost();
    const plugin = await host.platform.addPlugin({ module: echoPlugin() });
    expect(host.steps).toEqual(complete);
    const caller = await host.caller();
    expect(await caller.providerOf(plugin.runtimeId)).toBe("echo@1.0.0");
  });
});

interface Failure {
  readonly why: string;
  readonly step: string;
  readonly code: string;
  readonly message: RegExp;
  readonly plugin?: FakePluginOptions;
  readonly spec?: Partial<PluginSpec>;
  readonly options?: PlatformOptions;
}

const failures: Failure[] = [
  {
    why: "what it is declared to need is not there",
    step: "validate",
    code: "DEPENDENCY_MISSING",
    message: /echo requires logger.*add a provider first/,
    spec: { declares: { selfId: "echo", requires: [{ type: "logger" }] } },
  },
  {
    why: "what it says it needs is not there",
    step: "describe",
    code: "DEPENDENCY_MISSING",
    message: /logger/,
    plugin: { requires: ["logger@^2"] },
  },
  {
    why: "it answers something else than a plugin",
    step: "describe",
    code: "PLUGIN_PROTOCOL",
    message: /neither PluginIdentity nor a handshake/,
    plugin: { replies: { GetPluginInfo: () => "<html>hello</html>" } },
  },
  {
    why: "it answers rubbish",
    step: "describe",
    code: "PLUGIN_PROTOCOL",
    message: /GetPluginInfo at http.* failed/,
    plugin: { replies: { GetPluginInfo: () => ({ provides: 7 }) } },
  },
  {
    why: "its version is none",
    step: "describe",
    code: "INVALID_ARGUMENT",
    message: /the plugin's info.provides\[0\].version must be a semantic version/,
    plugin: { replies: { GetPluginInfo: () => ({ selfId: "echo", provides: [{ type: "echo", version: "one" }] }) } },
  },
  {
    why: "it does not answer in time",
    step: "describe",
    code: "STEP_TIMEOUT",
    message: /"describe" took longer than 150 ms/,
    plugin: { replies: { GetPluginInfo: stall } },
    spec: { limits: { describeMs: 150 } },
  },
  {
    why: "it is something else than declared",
    step: "describe",
    code: "DECLARATION_MISMATCH",
    message: /self id is "echo", but "other"/,
    spec: { declares: { selfId: "other" } },
  },
  {
    why: "it refuses its identity",
    step: "identify",
    code: "PLUGIN_FAILED",
    message: /refused its runtime identity/,
    plugin: { replies: { SetRuntimeIdentity: () => ({ acknowledged: false }) } },
  },
  {
    why: "it fails to take its identity",
    step: "identify",
    code: "PLUGIN_PROTOCOL",
    message: /SetRuntimeIdentity/,
    plugin: { replies: { SetRuntimeIdentity: () => ({ acknowledged: [] }) } },
  },
  {
    why: "it never takes its identity",
    step: "identify",
    code: "STEP_TIMEOUT",
    message: /"identify" took longer than 150 ms/,
    plugin: { replies: { SetRuntimeIdentity: stall } },
    spec: { limits: { identifyMs: 150 } },
  },
  {
    why: "it offers more than a plugin may",
    step: "register",
    code: "LIMIT_REACHED",
    message: /limit for one plugin/,
    plugin: {
      replies: {
        GetPluginInfo: () => ({
          selfId: "echo",
          provides: ["a", "b"].map((type) => ({ type, version: "1.0.0", path: "/" })),
        }),
      },
    },
    options: { maxRegistrationsPerPlugin: 1 },
  },
  {
    why: "it says that it is unhealthy",
    step: "health",
    code: "PLUGIN_NOT_HEALTHY",
    message: /did not become healthy within 150 ms; its last state: unhealthy, no database/,
    plugin: { replies: { GetHealth: () => ({ state: "HEALTH_STATE_UNHEALTHY", reason: "no database" }) } },
    spec: { limits: { healthMs: 150 } },
  },
  {
    why: "it does not say how it is",
    step: "health",
    code: "PLUGIN_NOT_HEALTHY",
    message: /did not become healthy.*unready/,
    plugin: { replies: { GetHealth: stall } },
    spec: { limits: { healthMs: 150 } },
  },
];

describe("a plugin that cannot be added leaves nothing behind, and the error names step, code and cause", () => {
  test.each(failures)("$step, $code: $why", async ({ step, code, message, plugin, spec, options }) => {
    await using host = await startHost(options);
    await using fake = await startFakePlugin(plugin);
    const error = await failureOf(host.platform.addPlugin({ endpoint: fake.url, ...spec } as PluginSpec));
    expect(error).toMatchObject({ step, code });
    expect(error.message).toMatch(message);
    expect(error.cause).toBeDefined();
    const before = addSteps
      .slice(0, addSteps.indexOf(step))
      .flatMap((name) => [`add ${name} started`, `add ${name} done`]);
    expect(host.steps).toEqual([...before, `add ${step} started`, `add ${step} failed`]);
    expect(host.stepEvents.at(-1)?.error).toBe(error);
    await expectNothingLeft(host, fake);
    expect(host.warnings).toEqual([]);
  });

  test("describe, PLUGIN_UNREACHABLE: nothing listens there", async () => {
    await using host = await startHost();
    const server = http.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const error = await failureOf(
      host.platform.addPlugin({ endpoint: `http://127.0.0.1:${port}`, limits: { connectGraceMs: 50 } }),
    );
    expect(error).toMatchObject({ step: "describe", code: "PLUGIN_UNREACHABLE" });
    await expectNothingLeft(host);
  });

  test("describe, PLUGIN_FAILED: a module's own code fails", async () => {
    await using host = await startHost();
    const broken = echoPlugin({ onSetup: () => Promise.reject(new Error("no config")) });
    const error = await failureOf(host.platform.addPlugin({ module: broken }));
    expect(error).toMatchObject({ step: "describe", code: "PLUGIN_FAILED", message: /no config/ });
    await expectNothingLeft(host);
  });

  test("graph, DEPENDENCY_MISSING: what it needs went while it became healthy", async () => {
    await using host = await startHost();
    const provider = await host.platform.addPlugin({ module: echoPlugin({ id: "logger", type: "logger" }) });
    const answer = deferred<object>();
    await using fake = await startFakePlugin({ requires: ["logger"], replies: { GetHealth: () => answer.promise } });
    const adding = failureOf(host.platform.addPlugin({ endpoint: fake.url }));
    await fake.untilCalled("GetHealth");
    await host.platform.removePlugin(provider.runtimeId);
    answer.resolve({ state: "HEALTH_STATE_HEALTHY" });
    expect(await adding).toMatchObject({ step: "graph", code: "DEPENDENCY_MISSING" });
    await expectNothingLeft(host, fake);
  });

  test.each(["identify", "register", "health"])("a module that ends during %s is no plugin", async (step) => {
    await using host = await startHost();
    const module = crashable(echoPlugin());
    host.platform.on("step", (event) => {
      if (event.step === step && event.state === "started") module.crash("segmentation fault");
    });
    const error = await failureOf(host.platform.addPlugin({ module }));
    expect(error).toMatchObject({ code: "PLUGIN_FAILED", message: /segmentation fault/ });
    expect(addSteps.indexOf(error.step ?? "")).toBeGreaterThanOrEqual(addSteps.indexOf(step));
    await expectNothingLeft(host);
    expect(module.running).toBe(0);
  });
});

describe("an add that is called off by its signal leaves nothing behind", () => {
  test.each(addSteps)("during %s", async (step) => {
    await using host = await startHost();
    const module = crashable(echoPlugin());
    const controller = new AbortController();
    host.platform.on("step", (event) => {
      if (event.step === step && event.state === "started") controller.abort(new Error("no longer wanted"));
    });
    const error = await failureOf(host.platform.addPlugin({ module, signal: controller.signal }));
    expect(error).toMatchObject({ step, code: "OPERATION_ABORTED", cause: { message: "no longer wanted" } });
    await expectNothingLeft(host);
    expect(module.running).toBe(0);
    expect(host.warnings).toEqual([]);
  });

  test("before it began", async () => {
    await using host = await startHost();
    const error = await failureOf(host.platform.addPlugin({ module: echoPlugin(), signal: AbortSignal.abort() }));
    expect(error).toMatchObject({ step: "validate", code: "OPERATION_ABORTED" });
  });

  test.each(["GetPluginInfo", "SetRuntimeIdentity", "GetHealth"] as const)(
    "while an endpoint is thinking about %s",
    async (procedure) => {
      await using host = await startHost();
      await using fake = await startFakePlugin({ replies: { [procedure]: stall } });
      const controller = new AbortController();
      const adding = failureOf(host.platform.addPlugin({ endpoint: fake.url, signal: controller.signal }));
      await fake.untilCalled(procedure);
      controller.abort();
      expect(await adding).toMatchObject({ code: "OPERATION_ABORTED" });
      await expectNothingLeft(host, fake);
    },
  );

  test("while a module starts that does not care: it is stopped as soon as it has started", async () => {
    await using host = await startHost();
    const inner = echoPlugin();
    const begun = deferred();
    const goOn = deferred();
    const stopped = deferred();
    const module = {
      id: inner.id,
      version: inner.version,
      declares: inner.declares,
      async start() {
        begun.resolve();
        await goOn.promise;
        const running = await inner.start({
          hostUrl: host.url,
          connectHost: () => expect.fail("it must not call"),
          signal: new AbortController().signal,
        });
        return { ...running, stop: (graceMs: number) => running.stop(graceMs).then(stopped.resolve) };
      },
    };
    const adding = failureOf(host.platform.addPlugin({ module, limits: { describeMs: 50 } }));
    await begun.promise;
    expect(await adding).toMatchObject({ step: "describe", code: "STEP_TIMEOUT" });
    await expectNothingLeft(host);
    goOn.resolve();
    await stopped.promise;
    await expectNothingLeft(host);
  });
});

test("the same endpoint cannot be added twice at once, nor while it is there", async () => {
  await using host = await startHost();
  await using endpoint = await startEndpoint();
  const [one, other] = await Promise.allSettled([
    host.platform.addPlugin({ endpoint: endpoint.url }),
    host.platform.addPlugin({ endpoint: endpoint.url.replace("127.0.0.1", "localhost") }),
  ]);
  expect(one.status).toBe("fulfilled");
  expect(other).toMatchObject({ status: "rejected", reason: { code: "ENDPOINT_IN_USE" } });
  await expect(host.platform.addPlugin({ endpoint: endpoint.url })).rejects.toMatchObject({ code: "ENDPOINT_IN_USE" });
  expect(host.platform.plugins()).toHaveLength(1);
});

test("after a failure the same endpoint can be added again", async () => {
  await using host = await startHost();
  let isHealthy = false;
  await using fake = await startFakePlugin({
    replies: { GetHealth: () => ({ state: isHealthy ? "HEALTH_STATE_HEALTHY" : "HEALTH_STATE_UNHEALTHY" }) },
  });
  await failureOf(host.platform.addPlugin({ endpoint: fake.url, limits: { healthMs: 50 } }));
  isHealthy = true;
  const plugin = await host.platform.addPlugin({ endpoint: fake.url });
  expect(host.platform.plugins()).toMatchObject([{ runtimeId: plugin.runtimeId, health: "healthy" }]);
  expect(fake.identities).toHaveLength(2);
});

test("a listener that throws does not disturb an add", async () => {
  await using host = await startHost();
  host.platform.on("step", () => {
    throw new Error("bad listener");
  });
  await host.platform.addPlugin({ module: echoPlugin() });
  expect(host.platform.plugins()).toHaveLength(1);
  expect(host.warnings.length).toBeGreaterThan(0);
});
