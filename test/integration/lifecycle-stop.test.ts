import { describe, expect, test } from "vitest";
import { deferred } from "../../src/internal/deferred.js";
import { startHost } from "../support/host.js";
import { crashable, echoPlugin, stall, startEndpoint, startFakePlugin } from "../support/plugins.js";

test("plugins stop in the reverse of the order in which they can start", async () => {
  await using host = await startHost();
  const stopped: string[] = [];
  const plugin = (id: string, ...requires: string[]) =>
    echoPlugin({ id, type: id, requires, onSetup: ({ onStop }) => onStop(() => void stopped.push(id)) });
  const chain = [plugin("logger"), plugin("cache", "logger"), plugin("app", "cache", "logger?")];
  await host.platform.addPlugins([...chain].reverse().map((module) => ({ module })));
  const order = host.platform.getStartupOrder().map((id) => host.platform.plugin(id).selfId);
  expect(order).toEqual(["logger", "cache", "app"]);
  const removed: string[] = [];
  host.platform.on("plugin-removed", (event) => removed.push(event.plugin.selfId));
  await host.platform.stop();
  expect(stopped).toEqual([...order].reverse());
  expect(removed).toEqual([...order].reverse());
});

test("everybody who stops gets the same promise, and nothing can be begun any more", async () => {
  await using host = await startHost();
  const { platform } = host;
  const { runtimeId } = await platform.addPlugin({ module: echoPlugin() });
  const stopping = platform.stop();
  expect(platform.stop()).toBe(stopping);
  const refused = [
    platform.addPlugin({ module: echoPlugin() }),
    platform.replacePlugin(runtimeId, { module: echoPlugin() }),
    platform.removePlugin(runtimeId),
  ];
  for (const result of await Promise.allSettled(refused)) {
    expect(result).toMatchObject({ status: "rejected", reason: { code: "HOST_STOPPED" } });
  }
  await stopping;
  expect(platform.plugins()).toEqual([]);
});

test("endpoints are let go, not shut down", async () => {
  await using host = await startHost();
  await using fake = await startFakePlugin();
  await host.platform.addPlugin({ endpoint: fake.url });
  await host.platform.stop();
  expect(fake.received).not.toContain("Shutdown");
  await fake.untilQuiet();
});

describe("an add that is under way when the host stops is rolled back", () => {
  test.each(["GetPluginInfo", "SetRuntimeIdentity", "GetHealth"] as const)("in %s", async (procedure) => {
    await using host = await startHost();
    await using fake = await startFakePlugin({ replies: { [procedure]: stall } });
    const adding = host.platform.addPlugin({ endpoint: fake.url });
    const failed = expect(adding).rejects.toMatchObject({
      code: "OPERATION_ABORTED",
      cause: { code: "HOST_STOPPED" },
    });
    await fake.untilCalled(procedure);
    await host.platform.stop();
    await failed;
    expect(host.platform.plugins()).toEqual([]);
    await fake.untilQuiet();
  });

  test("with the module that was just starting", async () => {
    await using host = await startHost();
    const setup = deferred();
    const module = crashable(
      echoPlugin({
        onSetup: () => {
          setup.resolve();
          return stall();
        },
      }),
    );
    const failed = expect(host.platform.addPlugin({ module })).rejects.toMatchObject({ code: "OPERATION_ABORTED" });
    await setup.promise;
    await host.platform.stop();
    await failed;
    expect(module.running).toBe(0);
  });
});

test("a replacement that is under way when the host stops is rolled back before its switch", async () => {
  await using host = await startHost();
  const module = crashable(echoPlugin());
  const old = await host.platform.addPlugin({ module });
  await using fake = await startFakePlugin({ replies: { GetHealth: stall } });
  const replacing = host.platform.replacePlugin(old.runtimeId, { endpoint: fake.url });
  const failed = expect(replacing).rejects.toMatchObject({ code: "OPERATION_ABORTED", step: "health" });
  await fake.untilCalled("GetHealth");
  await host.platform.stop();
  await failed;
  expect(module.running).toBe(0);
  await fake.untilQuiet();
});

/** A plugin that has a call which does not end. */
async function busyPlugin(host: Awaited<ReturnType<typeof startHost>>) {
  const begun = deferred();
  const module = crashable(
    echoPlugin({
      onSay: () => {
        begun.resolve();
        return stall();
      },
    }),
  );
  const { runtimeId } = await host.platform.addPlugin({ module });
  const caller = await host.caller();
  const answer = caller.providerOf(runtimeId);
  await begun.promise;
  return { module, runtimeId, answer };
}

test("a replacement that drains when the host stops ends within the budget", async () => {
  await using host = await startHost({ stopBudgetMs: 300, limits: { drainMs: 60_000 } });
  const { module, runtimeId, answer } = await busyPlugin(host);
  const switched = host.next("plugin-replaced");
  const replacing = host.platform.replacePlugin(runtimeId, { module: echoPlugin({ version: "2.0.0" }) });
  await switched;
  const startedAt = performance.now();
  await host.platform.stop();
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  expect(await answer).toBe("unavailable");
  expect((await replacing).selfVersion).toBe("2.0.0");
  expect(module.running).toBe(0);
});

test("a removal that drains when the host stops ends within the budget", async () => {
  await using host = await startHost({ stopBudgetMs: 300, limits: { drainMs: 60_000 } });
  const { module, runtimeId, answer } = await busyPlugin(host);
  const unregistered = host.next("step", ({ step, state }) => step === "unregister" && state === "done");
  const removing = host.platform.removePlugin(runtimeId);
  await unregistered;
  const startedAt = performance.now();
  await host.platform.stop();
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  expect(await answer).toBe("unavailable");
  await removing;
  expect(module.running).toBe(0);
});

test("a removal that waits for dependants when the host stops waits no longer", async () => {
  await using host = await startHost({ limits: { graceMs: 60_000 } });
  const old = await host.platform.addPlugin({ module: echoPlugin() });
  // The SDK watches what it requires.
  const dependant = await host.platform.addPlugin({
    module: echoPlugin({ id: "app", type: "app", requires: ["echo"] }),
  });
  expect(host.platform.getImpact(old.runtimeId).affectedPlugins).toEqual([dependant.runtimeId]);
  const removing = host.platform.removePlugin(old.runtimeId);
  await host.platform.stop();
  await removing;
  expect(host.platform.plugins()).toEqual([]);
});

test("calls in flight get their answers before their plugin is stopped", async () => {
  await using host = await startHost();
  const begun = deferred();
  const goOn = deferred();
  const module = echoPlugin({
    onSay: () => {
      begun.resolve();
      return goOn.promise;
    },
  });
  const { runtimeId } = await host.platform.addPlugin({ module });
  const caller = await host.caller();
  const answer = caller.providerOf(runtimeId);
  await begun.promise;
  const stopping = host.platform.stop();
  goOn.resolve();
  expect(await answer).toBe("echo@1.0.0");
  await stopping;
});

test("a module that does not stop does not keep the host from stopping", async () => {
  await using host = await startHost({ stopBudgetMs: 200 });
  const inner = echoPlugin();
  const module = {
    id: inner.id,
    version: inner.version,
    declares: inner.declares,
    async start(environment: Parameters<typeof inner.start>[0]) {
      const running = await inner.start(environment);
      return { connect: () => running.connect(), ended: running.ended, stop: () => running.stop(0).then(stall) };
    },
  };
  await host.platform.addPlugin({ module });
  await host.platform.stop();
  expect(host.platform.plugins()).toEqual([]);
  expect(host.warnings).toMatchObject([expect.stringMatching(/echo-.* did not stop within/)]);
});

test("a program can neither shake hands nor register once the host stops", async () => {
  await using host = await startHost({ stopBudgetMs: 500 });
  const { runtimeId, answer } = await busyPlugin(host);
  const late = await host.handshake("late");
  const stopping = host.platform.stop();
  await expect(host.handshake("later")).rejects.toThrow(/stopping/);
  const refused = host.callerAs(late).registry.registerService({ serviceType: "late", version: "1.0.0" });
  await expect(refused).rejects.toThrow(/stopping/);
  expect(host.platform.plugin(runtimeId).state).toBe("draining");
  await stopping;
  await answer;
});

test("an endpoint that one host let go can be added to another", async () => {
  await using endpoint = await startEndpoint();
  for (let round = 0; round < 2; round++) {
    await using host = await startHost();
    await host.platform.addPlugin({ endpoint: endpoint.url });
    const caller = await host.caller();
    expect(await caller.providerOf("any")).toBe("echo@1.0.0");
  }
});
