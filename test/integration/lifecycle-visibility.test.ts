import { describe, expect, test } from "vitest";
import { ServiceState, type WatchServiceEvent } from "../../src/gen/connectplugin/v1/registry_pb.js";
import { deferred } from "../../src/internal/deferred.js";
import { type Caller, startHost, type TestHost } from "../support/host.js";
import { echoPlugin, type FakePlugin, startFakePlugin } from "../support/plugins.js";

const twoServices = (version: string) => ({
  selfId: "echo",
  selfVersion: version,
  provides: ["echo", "second"].map((type) => ({ type, version, path: "/echo.v1.Echo/" })),
});

/** A plugin with two services that becomes healthy when it is told to. */
async function startHeldBack(version: string) {
  const healthy = deferred<object>();
  const plugin = await startFakePlugin({
    version,
    replies: { GetPluginInfo: () => twoServices(version), GetHealth: () => healthy.promise },
  });
  return { plugin, becomeHealthy: () => healthy.resolve({ state: "HEALTH_STATE_HEALTHY" }) };
}

/** Collects what a watch of `type` says over the wire. */
function watch({ registry }: Caller, type: string) {
  const seen: WatchServiceEvent[] = [];
  const stop = new AbortController();
  const waiting = new Set<() => void>();
  const ended = (async () => {
    try {
      for await (const event of registry.watchService(
        { serviceType: type, includeProviders: true },
        { signal: stop.signal },
      )) {
        seen.push(event);
        for (const check of waiting) check();
      }
    } catch {
      // The test has seen enough.
    }
  })();
  return {
    seen,
    until: (fits: (event: WatchServiceEvent) => boolean) =>
      new Promise<WatchServiceEvent>((resolve) => {
        const check = (): void => {
          const event = seen.find(fits);
          if (event === undefined) return;
          waiting.delete(check);
          resolve(event);
        };
        waiting.add(check);
        check();
      }),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

/** Everything that somebody else can find of a plugin that is not committed yet. */
async function expectInvisible(host: TestHost, caller: Caller, plugin: FakePlugin): Promise<void> {
  const runtimeId = plugin.identities[0]?.runtimeId ?? "";
  expect(runtimeId).not.toBe("");
  expect(() => host.platform.plugin(runtimeId)).toThrow("no plugin has the runtime id");
  expect(host.platform.plugins().map((view) => view.runtimeId)).not.toContain(runtimeId);
  expect(host.platform.getStartupOrder()).not.toContain(runtimeId);
  expect(await caller.providerOf(runtimeId)).toBe("not_found");
  expect(await caller.providerOf(runtimeId, "second")).toBe("not_found");
  for (const { providers } of host.platform.registry.services()) {
    expect(providers.map(({ provider }) => provider.registration.runtimeId)).not.toContain(runtimeId);
  }
}

describe("nothing of a plugin is visible before it is committed, and then all of it in one revision", () => {
  test("when it is added, whoever registers its services", async () => {
    await using host = await startHost();
    const caller = await host.caller();
    await caller.registry.discoverService({ serviceType: "echo" }).catch(() => {});
    await using echo = watch(caller, "echo");
    await using second = watch(caller, "second");
    await Promise.all([echo.until(() => true), second.until(() => true)]);
    const revisions: number[] = [];
    host.platform.on("changed", ({ revision }) => revisions.push(revision.number));
    const { plugin, becomeHealthy } = await startHeldBack("1.0.0");
    await using _plugin = plugin;
    const adding = host.platform.addPlugin({ endpoint: plugin.url });
    await plugin.untilCalled("GetHealth");
    const { runtimeId = "", runtimeToken: token = "" } = plugin.identities[0] ?? {};
    const own = host.callerAs({ runtimeId, token });
    const again = { serviceType: "second", version: "1.0.0", endpointPath: "/echo.v1.Echo/", metadata: {} };
    const { registrationId } = await own.registry.registerService(again);
    expect((await own.registry.registerService(again)).registrationId).toBe(registrationId);
    await expectInvisible(host, caller, plugin);
    await expect(caller.registry.discoverService({ serviceType: "echo" })).rejects.toThrow(/no plugin provides "echo"/);
    expect(revisions).toEqual([]);
    expect([...echo.seen, ...second.seen].map(({ state }) => state)).toEqual([
      ServiceState.UNAVAILABLE,
      ServiceState.UNAVAILABLE,
    ]);
    becomeHealthy();
    await adding;
    expect(revisions).toHaveLength(1);
    const events = [
      await echo.until(({ state }) => state === ServiceState.AVAILABLE),
      await second.until(({ state }) => state === ServiceState.AVAILABLE),
    ];
    expect(new Set(events.map(({ revision }) => revision.split(":")[1]))).toEqual(new Set([String(revisions[0])]));
    expect(echo.seen).toHaveLength(2);
  });

  test("when it replaces another: nobody sees both, or neither", async () => {
    await using host = await startHost();
    const first = await startHeldBack("1.0.0");
    await using _first = first.plugin;
    first.becomeHealthy();
    const old = await host.platform.addPlugin({ endpoint: first.plugin.url });
    const caller = await host.caller();
    await using echo = watch(caller, "echo");
    await using second = watch(caller, "second");
    await Promise.all([echo.until(() => true), second.until(() => true)]);
    const next = await startHeldBack("2.0.0");
    await using _next = next.plugin;
    const replacing = host.platform.replacePlugin(old.runtimeId, { endpoint: next.plugin.url });
    await next.plugin.untilCalled("GetHealth");
    await expectInvisible(host, caller, next.plugin);
    next.becomeHealthy();
    const { runtimeId } = await replacing;
    const byNew = ({ endpoint }: WatchServiceEvent) => endpoint?.providerId === runtimeId;
    const switches = [await echo.until(byNew), await second.until(byNew)];
    expect(switches[0]?.revision).toBe(switches[1]?.revision);
    for (const { seen } of [echo, second]) {
      expect(seen.map(({ state }) => state)).toEqual(seen.map(() => ServiceState.AVAILABLE));
      expect(seen.map(({ providers }) => providers.length)).toEqual(seen.map(() => 1));
      expect(seen).toHaveLength(2);
    }
  });

  test("not even a failed one leaves a revision", async () => {
    await using host = await startHost();
    const revisions: number[] = [];
    host.platform.on("changed", ({ revision }) => revisions.push(revision.number));
    await using plugin = await startFakePlugin({ replies: { GetHealth: () => ({ state: "HEALTH_STATE_UNHEALTHY" }) } });
    await expect(host.platform.addPlugin({ endpoint: plugin.url, limits: { healthMs: 50 } })).rejects.toThrow();
    expect(revisions).toEqual([]);
  });
});

test("a program that shook hands without doing anything else is not visible", async () => {
  await using host = await startHost();
  await host.handshake("quiet");
  expect(host.platform.plugins()).toEqual([]);
});

test("a program that came while another one was added is seen as soon as that is over", async () => {
  await using host = await startHost();
  const info = deferred<object>();
  await using slow = await startFakePlugin({ id: "slow", replies: { GetPluginInfo: () => info.promise } });
  const adding = host.platform.addPlugin({ endpoint: slow.url });
  await slow.untilCalled("GetPluginInfo");
  const caller = await host.caller("consumer");
  await caller.registry.discoverService({ serviceType: "echo" }).catch(() => {});
  // It could still turn out to be the program that is added.
  expect(host.platform.plugins()).toEqual([]);
  info.resolve(twoServices("1.0.0"));
  await adding;
  expect(
    host.platform
      .plugins()
      .map(({ selfId }) => selfId)
      .sort(),
  ).toEqual(["consumer", "echo"]);
});

test("modules too are visible in one revision, and their own late registration changes nothing that is watched", async () => {
  await using host = await startHost();
  const caller = await host.caller();
  await using echo = watch(caller, "echo");
  await echo.until(() => true);
  const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
  await echo.until(({ state }) => state === ServiceState.AVAILABLE);
  await host.platform.removePlugin(runtimeId, { limits: { graceMs: 0 } });
  await echo.until(({ state, revision }) => state === ServiceState.UNAVAILABLE && revision !== echo.seen[0]?.revision);
  expect(echo.seen.map(({ state }) => state)).toEqual([
    ServiceState.UNAVAILABLE,
    ServiceState.AVAILABLE,
    ServiceState.UNAVAILABLE,
  ]);
});

test("what the host adds to a plugin that everybody sees already is not visible before the commit", async () => {
  await using host = await startHost();
  // It registers one of the two services that it declares by itself.
  await using plugin = await startFakePlugin({
    id: "early",
    replies: {
      GetPluginInfo: () => ({
        selfId: "early",
        provides: [
          { type: "own", version: "1.0.0", path: "/own/" },
          { type: "echo", version: "1.0.0", path: "/echo.v1.Echo/" },
        ],
      }),
    },
  });
  const own = host.callerAs(await host.handshake("early"));
  const metadata = { base_url: plugin.url };
  await own.registry.registerService({ serviceType: "own", version: "1.0.0", endpointPath: "/own/", metadata });
  const seen: string[] = [];
  const announced: string[] = [];
  host.platform.on("registered", ({ registration }) => announced.push(registration.type));
  host.platform.on("step", ({ step, state }) => {
    if (state === "done") seen.push(`${step}: ${host.platform.registry.services().map(({ type }) => type)}`);
  });
  const added = await host.platform.addPlugin({ endpoint: plugin.url });
  expect(seen).toEqual([
    "validate: own",
    "describe: own",
    "identify: own",
    "register: own",
    "health: own",
    "graph: own",
    "announce: own,echo",
  ]);
  expect(announced).toEqual(["echo"]);
  expect(added.provides.map(({ type }) => type)).toEqual(["own", "echo"]);
});
