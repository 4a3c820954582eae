import { describe, expect, test } from "vitest";
import { ServiceState } from "../../src/gen/connectplugin/v1/registry_pb.js";
import { deferred } from "../../src/internal/deferred.js";
import { type Caller, startHost, type TestHost } from "../support/host.js";
import { crashable, echoPlugin, stall, startEndpoint, startFakePlugin } from "../support/plugins.js";

const removeSteps = ["impact", "notify", "unregister", "shutdown", "forget"];
const complete = removeSteps.flatMap((step) => [`remove ${step} started`, `remove ${step} done`]);
const removals = ({ steps }: TestHost) => steps.filter((step) => step.startsWith("remove "));

/** A plugin that depends on echo and watches it over the wire, as one of another language does. */
async function watchingDependant(host: TestHost, id = "dependant") {
  const fake = await startFakePlugin({ id, type: id, requires: ["echo"] });
  await host.platform.addPlugin({ endpoint: fake.url });
  const [given] = fake.identities;
  const caller: Caller = host.callerAs({ runtimeId: given?.runtimeId ?? "", token: given?.runtimeToken ?? "" });
  const stop = new AbortController();
  const events = caller.registry
    .watchService({ serviceType: "echo", includeProviders: true }, { signal: stop.signal })
    [Symbol.asyncIterator]();
  const first = await events.next();
  expect(first.value?.state).toBe(ServiceState.AVAILABLE);
  return {
    caller,
    /** Resolves when the watch says that the type is gone. */
    async untilUnavailable() {
      for (;;) {
        const { value, done } = await events.next();
        if (done || value.state === ServiceState.UNAVAILABLE) return value;
      }
    },
    closeWatch: () => stop.abort(),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await events.next().catch(() => {});
      await fake[Symbol.asyncDispose]();
    },
  };
}

test("the five steps of removing run in order, each with an event when it starts and when it is done", async () => {
  await using host = await startHost();
  const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
  const impact = await host.platform.removePlugin(runtimeId);
  expect(impact).toEqual({ affectedServices: ["echo"], affectedPlugins: [], optionalImpact: [] });
  expect(removals(host)).toEqual(complete);
});

test("a plugin without dependants and calls is out of routing, registry and graph in less than 100 ms", async () => {
  await using host = await startHost();
  const caller = await host.caller();
  // The second time all code is loaded, so that it is the removal that is measured.
  for (const isMeasured of [false, true]) {
    await using endpoint = await startEndpoint();
    const { runtimeId } = await host.platform.addPlugin({ endpoint: endpoint.url });
    expect(await caller.providerOf(runtimeId)).toBe("echo@1.0.0");
    const startedAt = performance.now();
    await host.platform.removePlugin(runtimeId);
    const tookMs = performance.now() - startedAt;
    expect(await caller.providerOf(runtimeId)).toBe("not_found");
    expect(host.platform.registry.services()).toEqual([]);
    expect(host.platform.getStartupOrder()).not.toContain(runtimeId);
    expect(host.platform.plugins().map((plugin) => plugin.runtimeId)).not.toContain(runtimeId);
    if (isMeasured) expect(tookMs).toBeLessThan(100);
  }
});

test("the removed plugin's token is refused", async () => {
  await using host = await startHost();
  await using fake = await startFakePlugin({ requires: ["echo?"] });
  const { runtimeId } = await host.platform.addPlugin({ endpoint: fake.url });
  const identity = { runtimeId, token: fake.identities[0]?.runtimeToken ?? "" };
  const discover = "/connectplugin.v1.ServiceRegistry/DiscoverService";
  expect((await host.post(discover, { serviceType: "echo" }, identity)).status).toBe(200);
  await host.platform.removePlugin(runtimeId);
  expect((await host.post(discover, { serviceType: "echo" }, identity)).status).toBe(401);
  expect(fake.received).toContain("Shutdown");
  await fake.untilQuiet();
});

describe("dependants that watch what they lose get time to react, which ends when they have", () => {
  const reactions: Record<string, (dependant: Awaited<ReturnType<typeof watchingDependant>>) => Promise<unknown>> = {
    "reports its health": ({ caller }) => caller.lifecycle.reportHealth({ state: 2, reason: "no echo" }),
    "looks for another provider": ({ caller }) =>
      caller.registry.discoverService({ serviceType: "echo" }).catch(() => {}),
    "closes its watch": async ({ closeWatch }) => closeWatch(),
  };
  test.each(Object.entries(reactions))("when it %s", async (_, react) => {
    await using host = await startHost({ limits: { graceMs: 60_000 } });
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    await using dependant = await watchingDependant(host);
    const removing = host.platform.removePlugin(runtimeId);
    await dependant.untilUnavailable();
    expect(removals(host).at(-1)).toBe("remove notify started");
    // It is not offered any more, but who names it is still served.
    expect(await dependant.caller.providerOf(runtimeId)).toBe("echo@1.0.0");
    expect(await dependant.caller.providerOf("any")).toBe("unavailable");
    await react(dependant);
    const impact = await removing;
    expect(impact.affectedPlugins).toEqual([dependant.caller.identity.runtimeId]);
    expect(removals(host)).toEqual(complete);
  });

  test("and all of them are waited for", async () => {
    await using host = await startHost({ limits: { graceMs: 60_000 } });
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    await using one = await watchingDependant(host, "one");
    await using other = await watchingDependant(host, "other");
    const removing = host.platform.removePlugin(runtimeId);
    await Promise.all([one.untilUnavailable(), other.untilUnavailable()]);
    await one.caller.lifecycle.reportHealth({ state: 2 });
    expect(removals(host).at(-1)).toBe("remove notify started");
    await other.caller.lifecycle.reportHealth({ state: 2 });
    await removing;
  });

  test("but not longer than the grace period", async () => {
    await using host = await startHost();
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    await using _dependant = await watchingDependant(host);
    await host.platform.removePlugin(runtimeId, { limits: { graceMs: 50 } });
    const notified = host.stepEvents.find(({ step, state }) => step === "notify" && state === "done");
    expect(notified?.durationMs).toBeGreaterThanOrEqual(45);
  });

  test("and nobody waits for one that has no watch on it", async () => {
    await using host = await startHost({ limits: { graceMs: 60_000 } });
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    await using fake = await startFakePlugin({ id: "dependant", type: "dependant", requires: ["echo"] });
    await host.platform.addPlugin({ endpoint: fake.url });
    const impact = await host.platform.removePlugin(runtimeId);
    expect(impact.affectedPlugins).toEqual([fake.identities[0]?.runtimeId]);
  });

  test("nor for one that ends meanwhile", async () => {
    await using host = await startHost({ limits: { graceMs: 60_000 } });
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    await using dependant = await watchingDependant(host);
    const removing = host.platform.removePlugin(runtimeId);
    await dependant.untilUnavailable();
    await host.platform.removePlugin(dependant.caller.identity.runtimeId, { limits: { graceMs: 0 } });
    await removing;
  });
});

test("calls in flight get their answers before the plugin is told to go", async () => {
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
  const unregistered = host.next("step", ({ step, state }) => step === "unregister" && state === "done");
  const removing = host.platform.removePlugin(runtimeId);
  await unregistered;
  expect(await caller.providerOf(runtimeId)).toBe("unavailable");
  expect(removals(host)).not.toContain("remove shutdown done");
  goOn.resolve();
  expect(await answer).toBe("echo@1.0.0");
  await removing;
});

test("calls that do not end are cut off when the time for draining is over", async () => {
  await using host = await startHost();
  const begun = deferred();
  const module = echoPlugin({
    onSay: () => {
      begun.resolve();
      return stall();
    },
  });
  const { runtimeId } = await host.platform.addPlugin({ module });
  const caller = await host.caller();
  const answer = caller.providerOf(runtimeId);
  await begun.promise;
  await host.platform.removePlugin(runtimeId, { limits: { drainMs: 50, shutdownMs: 100 } });
  expect(await answer).toBe("unavailable");
  expect(() => host.platform.plugin(runtimeId)).toThrow("no plugin has the runtime id");
});

test("a plugin that does not answer the shutdown request is gone all the same, in its time", async () => {
  await using host = await startHost();
  await using fake = await startFakePlugin({ replies: { Shutdown: stall } });
  const { runtimeId } = await host.platform.addPlugin({ endpoint: fake.url });
  await host.platform.removePlugin(runtimeId, { limits: { shutdownMs: 50 } });
  expect(host.platform.plugins()).toEqual([]);
  await fake.untilQuiet();
});

test("a module that ignores the shutdown request is stopped", async () => {
  await using host = await startHost();
  const module = crashable(echoPlugin());
  const { runtimeId } = await host.platform.addPlugin({ module });
  await host.platform.removePlugin(runtimeId);
  expect(module.running).toBe(0);
});

test("a plugin that has crashed can be removed", async () => {
  await using host = await startHost();
  const module = crashable(echoPlugin());
  const { runtimeId } = await host.platform.addPlugin({ module });
  const fell = host.next("health");
  module.crash("out of memory");
  expect(await fell).toMatchObject({
    runtimeId,
    health: {
      state: "unhealthy",
      cause: "exit",
      reason: expect.stringMatching(/^out of memory; it is started again at /),
    },
  });
  const caller = await host.caller();
  expect(await caller.providerOf(runtimeId)).toBe("unavailable");
  await host.platform.removePlugin(runtimeId);
  expect(host.platform.plugins().map(({ selfId }) => selfId)).not.toContain("echo");
});

describe("a removal can be called off", () => {
  test.each(["impact", "notify"])("by its signal during %s: the plugin serves as before", async (step) => {
    await using host = await startHost();
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    const controller = new AbortController();
    host.platform.on("step", (event) => {
      if (event.step === step && event.state === "started") controller.abort();
    });
    const removing = host.platform.removePlugin(runtimeId, { signal: controller.signal });
    await expect(removing).rejects.toMatchObject({ code: "OPERATION_ABORTED", step });
    const caller = await host.caller();
    expect(await caller.providerOf("any")).toBe("echo@1.0.0");
    expect(host.platform.plugin(runtimeId).state).toBe("serving");
    await host.platform.removePlugin(runtimeId);
  });

  test("while dependants have time to react: it is offered again", async () => {
    await using host = await startHost({ limits: { graceMs: 60_000 } });
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    await using dependant = await watchingDependant(host);
    const controller = new AbortController();
    const removing = host.platform.removePlugin(runtimeId, { signal: controller.signal });
    await dependant.untilUnavailable();
    controller.abort();
    await expect(removing).rejects.toMatchObject({ code: "OPERATION_ABORTED", step: "notify" });
    expect(await dependant.caller.providerOf("any")).toBe("echo@1.0.0");
  });

  test.each(["shutdown", "forget"])("but not during %s: it goes on to its end", async (step) => {
    await using host = await startHost();
    const module = crashable(echoPlugin());
    const { runtimeId } = await host.platform.addPlugin({ module });
    const controller = new AbortController();
    host.platform.on("step", (event) => {
      if (event.step === step && event.state === "started") controller.abort();
    });
    await host.platform.removePlugin(runtimeId, { signal: controller.signal });
    expect(host.platform.plugins()).toEqual([]);
    expect(module.running).toBe(0);
    expect(removals(host)).toEqual(complete);
  });
});

test("who removes twice at once gets the same answer, and it happens once", async () => {
  await using host = await startHost();
  const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
  const [one, other] = await Promise.all([
    host.platform.removePlugin(runtimeId),
    host.platform.removePlugin(runtimeId),
  ]);
  expect(other).toBe(one);
  expect(removals(host)).toEqual(complete);
  await expect(host.platform.removePlugin(runtimeId)).rejects.toMatchObject({ code: "PLUGIN_NOT_FOUND" });
});

test("the watch of a removed plugin ends", async () => {
  await using host = await startHost();
  await host.platform.addPlugin({ module: echoPlugin() });
  await using dependant = await watchingDependant(host);
  await host.platform.removePlugin(dependant.caller.identity.runtimeId);
  expect(await dependant.untilUnavailable()).toBeUndefined();
});
