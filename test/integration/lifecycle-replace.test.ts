import { describe, expect, test } from "vitest";
import type { Platform, PluginSpec } from "../../src/index.js";
import { deferred } from "../../src/internal/deferred.js";
import { type Caller, startHost, type TestHost } from "../support/host.js";
import { crashable, echoPlugin, stall, startEndpoint, startFakePlugin } from "../support/plugins.js";

const replaceSteps = ["start", "health", "register", "switch", "drain", "shutdown", "forget"];
const complete = replaceSteps.flatMap((step) => [`replace ${step} started`, `replace ${step} done`]);
const replacements = ({ steps }: TestHost) => steps.filter((step) => step.startsWith("replace "));
const echoes = (platform: Platform) => platform.plugins().filter(({ selfId }) => selfId === "echo");

const next = (version = "2.0.0") => ({ module: echoPlugin({ version }) });

/** Calls without a pause, unary and streaming, by the old id and by any, until it is told to end. */
function underLoad(caller: Caller, runtimeId: string) {
  const answers = new Map<string, number>();
  const failures: unknown[] = [];
  let running = true;
  const count = (name: string): void => void answers.set(name, (answers.get(name) ?? 0) + 1);
  const loop = async (call: () => Promise<string>): Promise<void> => {
    while (running) {
      try {
        count(await call());
      } catch (error) {
        failures.push(error);
      }
      await new Promise(setImmediate);
    }
  };
  const unary = (id: string) => loop(async () => (await caller.echo(id).say({ text: "x" })).provider);
  const stream = (id: string) =>
    loop(async () => {
      let last = -1;
      for await (const { index } of caller.echo(id).serverStream({ text: "x", count: 3 })) last = index;
      return last === 2 ? "stream" : "short stream";
    });
  const loops = [unary("any"), unary(runtimeId), stream("any"), stream(runtimeId)];
  return {
    answers,
    failures,
    async end() {
      running = false;
      await Promise.all(loops);
    },
  };
}

test("the seven steps of replacing run in order, each with an event when it starts and when it is done", async () => {
  await using host = await startHost();
  const old = await host.platform.addPlugin({ module: echoPlugin() });
  const replaced = host.next("plugin-replaced");
  const plugin = await host.platform.replacePlugin(old.runtimeId, next());
  expect(replacements(host)).toEqual(complete);
  expect(await replaced).toMatchObject({
    before: { runtimeId: old.runtimeId },
    after: { runtimeId: plugin.runtimeId },
  });
  expect(host.platform.plugins().map(({ runtimeId }) => runtimeId)).toEqual([plugin.runtimeId]);
  expect(host.warnings).toEqual([]);
});

describe("no call fails while a plugin is replaced under load, and the old id keeps answering from the new one", () => {
  const sources: Record<string, (version: string) => Promise<{ spec: PluginSpec; stop: () => Promise<void> }>> = {
    modules: async (version) => ({ spec: next(version), stop: async () => {} }),
    endpoints: async (version) => {
      const endpoint = await startEndpoint({ version });
      return { spec: { endpoint: endpoint.url }, stop: () => endpoint.stop() };
    },
  };
  test.each(Object.entries(sources))("%s", async (_, start) => {
    await using host = await startHost();
    const first = await start("1.0.0");
    const old = await host.platform.addPlugin(first.spec);
    const load = underLoad(await host.caller(), old.runtimeId);
    const stops = [first.stop];
    let current = old.runtimeId;
    for (const version of ["2.0.0", "3.0.0", "4.0.0"]) {
      const seen = load.answers.get("stream") ?? 0;
      await host.until(() => (load.answers.get("stream") ?? 0) >= seen + 20);
      const source = await start(version);
      stops.push(source.stop);
      current = (await host.platform.replacePlugin(current, source.spec)).runtimeId;
    }
    const answered = (load.answers.get("echo@4.0.0") ?? 0) + 20;
    await host.until(() => (load.answers.get("echo@4.0.0") ?? 0) >= answered);
    await load.end();
    expect(load.failures).toEqual([]);
    expect([...load.answers.keys()].sort()).toEqual(["echo@1.0.0", "echo@2.0.0", "echo@3.0.0", "echo@4.0.0", "stream"]);
    await Promise.all(stops.map((stop) => stop()));
  });
});

test("a call in flight on the old plugin gets the old plugin's answer", async () => {
  await using host = await startHost();
  const begun = deferred();
  const goOn = deferred();
  const slow = echoPlugin({
    onSay: () => {
      begun.resolve();
      return goOn.promise;
    },
  });
  const old = await host.platform.addPlugin({ module: slow });
  const caller = await host.caller();
  const answer = caller.providerOf(old.runtimeId);
  await begun.promise;
  const switched = host.next("step", ({ step, state }) => step === "switch" && state === "done");
  const replacing = host.platform.replacePlugin(old.runtimeId, next());
  await switched;
  expect(await caller.providerOf(old.runtimeId)).toBe("echo@2.0.0");
  goOn.resolve();
  expect(await answer).toBe("echo@1.0.0");
  await replacing;
});

test("a stream that is open on the old plugin goes on there to its end", async () => {
  await using host = await startHost();
  const old = await host.platform.addPlugin({ module: echoPlugin() });
  const stream = host.platform.client((await import("../support/gen/echo/v1/echo_pb.js")).Echo);
  const texts = [deferred<string>(), deferred<string>()];
  async function* sent() {
    for (const text of texts) yield { text: await text.promise };
  }
  const answers = stream.bidiStream(sent())[Symbol.asyncIterator]();
  texts[0]?.resolve("before");
  expect((await answers.next()).value?.text).toBe("before");
  const switched = host.next("step", ({ step, state }) => step === "switch" && state === "done");
  const replacing = host.platform.replacePlugin(old.runtimeId, next());
  await switched;
  expect(host.platform.plugin(old.runtimeId)).toMatchObject({ state: "draining", inFlight: 1 });
  texts[1]?.resolve("after");
  expect((await answers.next()).value?.text).toBe("after");
  expect((await answers.next()).done).toBe(true);
  await replacing;
});

describe("a replacement that fails leaves the old plugin serving and nothing of itself", () => {
  const failing: {
    why: string;
    step: string;
    code: string;
    message: RegExp;
    replies?: Parameters<typeof startFakePlugin>[0];
    limits?: object;
  }[] = [
    {
      why: "it never gets healthy",
      step: "health",
      code: "PLUGIN_NOT_HEALTHY",
      message: /last state: unhealthy, no database/,
      replies: { replies: { GetHealth: () => ({ state: "HEALTH_STATE_UNHEALTHY", reason: "no database" }) } },
      limits: { healthMs: 200 },
    },
    {
      why: "it is degraded, and the old one is healthy",
      step: "health",
      code: "PLUGIN_NOT_HEALTHY",
      message: /last state: degraded/,
      replies: { replies: { GetHealth: () => ({ state: "HEALTH_STATE_DEGRADED" }) } },
      limits: { healthMs: 200 },
    },
    {
      why: "it refuses its identity",
      step: "start",
      code: "PLUGIN_FAILED",
      message: /refused its runtime identity/,
      replies: { replies: { SetRuntimeIdentity: () => ({ acknowledged: false }) } },
    },
    {
      why: "it stalls",
      step: "start",
      code: "STEP_TIMEOUT",
      message: /"start" took longer/,
      replies: { replies: { GetPluginInfo: stall } },
      limits: { describeMs: 100, identifyMs: 100 },
    },
    {
      why: "it does not offer what others require",
      step: "register",
      code: "REPLACEMENT_INCOMPATIBLE",
      message: /dependant-.* requires echo \^1.*set allowMissingServices/,
      replies: { version: "2.0.0" },
    },
    {
      why: "it needs what is not there",
      step: "start",
      code: "DEPENDENCY_MISSING",
      message: /requires logger/,
      replies: { requires: ["logger"] },
    },
    {
      why: "it needs what only the old one offers",
      step: "start",
      code: "DEPENDENCY_MISSING",
      message: /requires echo/,
      replies: { type: "other", requires: ["echo"] },
    },
    {
      why: "it needs who needs it",
      step: "start",
      code: "DEPENDENCY_CYCLE",
      message: /plugins wait for each other: .*dependant/,
      replies: { version: "1.1.0", requires: ["dependant"] },
    },
  ];
  test.each(failing)("$step, $code: $why", async ({ step, code, message, replies, limits }) => {
    await using host = await startHost();
    const old = await host.platform.addPlugin({ module: echoPlugin() });
    await host.platform.addPlugin({
      module: echoPlugin({ id: "dependant", type: "dependant", requires: ["echo@^1"] }),
    });
    const before = host.platform.plugins();
    const caller = await host.caller();
    const load = underLoad(caller, old.runtimeId);
    await using fake = await startFakePlugin(replies);
    const replacing = host.platform.replacePlugin(old.runtimeId, { endpoint: fake.url, ...(limits && { limits }) });
    const error = await replacing.then(
      () => expect.fail("it should have failed"),
      (reason: Error) => reason,
    );
    expect(error).toMatchObject({ step, code });
    expect(error.message).toMatch(message);
    await load.end();
    expect(load.failures).toEqual([]);
    expect([...load.answers.keys()]).not.toContain("echo@2.0.0");
    const ids = host.platform.plugins().map(({ runtimeId }) => runtimeId);
    expect(ids).toEqual([...before.map(({ runtimeId }) => runtimeId), caller.identity.runtimeId]);
    for (const { runtimeId, runtimeToken: token } of fake.identities) {
      const discover = "/connectplugin.v1.ServiceRegistry/DiscoverService";
      expect((await host.post(discover, { serviceType: "echo" }, { runtimeId, token })).status).toBe(401);
    }
    await fake.untilQuiet();
  });

  test("unless it is told that services may be missing", async () => {
    await using host = await startHost();
    const old = await host.platform.addPlugin({ module: echoPlugin() });
    await host.platform.addPlugin({
      module: echoPlugin({ id: "dependant", type: "dependant", requires: ["echo@^1"] }),
    });
    await host.platform.replacePlugin(old.runtimeId, { ...next(), allowMissingServices: true });
    expect(echoes(host.platform)).toMatchObject([{ selfVersion: "2.0.0" }]);
  });

  test.each(replaceSteps.slice(0, 4))("called off by its signal during %s", async (step) => {
    await using host = await startHost();
    const old = await host.platform.addPlugin({ module: echoPlugin() });
    const module = crashable(echoPlugin({ version: "2.0.0" }));
    const controller = new AbortController();
    host.platform.on("step", (event) => {
      if (event.operation === "replace" && event.step === step && event.state === "started") controller.abort();
    });
    const replacing = host.platform.replacePlugin(old.runtimeId, { module, signal: controller.signal });
    await expect(replacing).rejects.toMatchObject({ code: "OPERATION_ABORTED", step });
    expect(host.platform.plugins()).toMatchObject([{ runtimeId: old.runtimeId, state: "serving" }]);
    expect(module.running).toBe(0);
  });

  test.each(["start", "health", "register"])("ended by itself during %s", async (step) => {
    await using host = await startHost();
    const old = await host.platform.addPlugin({ module: echoPlugin() });
    const module = crashable(echoPlugin({ version: "2.0.0", onSetup: () => new Promise(setImmediate) }));
    host.platform.on("step", (event) => {
      if (event.operation !== "replace" || event.step !== step || event.state !== "started") return;
      if (step === "start") setTimeout(() => module.crash("bad luck"), 5);
      else module.crash("bad luck");
    });
    await host.platform.replacePlugin(old.runtimeId, { module }).then(
      // Where it lived a moment longer than the switch took, it is there, and known to be dead.
      async () => host.until(() => echoes(host.platform)[0]?.healthCause === "exit"),
      (error: unknown) => {
        expect(error).toMatchObject({ code: "PLUGIN_FAILED", message: /bad luck/ });
        expect(host.platform.plugins()).toMatchObject([{ runtimeId: old.runtimeId, state: "serving" }]);
      },
    );
    if (echoes(host.platform)[0]?.runtimeId === old.runtimeId) expect(module.running).toBe(0);
  });
});

describe("after the switch the new plugin stays, whatever comes", () => {
  test.each(replaceSteps.slice(4))(
    "its signal is aborted during %s: the old one is still brought to its end",
    async (step) => {
      await using host = await startHost();
      const module = crashable(echoPlugin());
      const old = await host.platform.addPlugin({ module });
      const controller = new AbortController();
      host.platform.on("step", (event) => {
        if (event.operation === "replace" && event.step === step && event.state === "started") controller.abort();
      });
      await host.platform.replacePlugin(old.runtimeId, { ...next(), signal: controller.signal });
      expect(host.platform.plugins()).toMatchObject([{ selfVersion: "2.0.0" }]);
      expect(module.running).toBe(0);
      expect(replacements(host)).toEqual(complete);
    },
  );

  test("the old one does not shut down: it is gone all the same", async () => {
    await using host = await startHost();
    await using fake = await startFakePlugin({ replies: { Shutdown: stall } });
    const old = await host.platform.addPlugin({ endpoint: fake.url });
    await host.platform.replacePlugin(old.runtimeId, { ...next(), limits: { shutdownMs: 50 } });
    expect(host.platform.plugins()).toMatchObject([{ selfVersion: "2.0.0" }]);
    await fake.untilQuiet();
  });
});

test("a plugin that crashes while it is replaced is replaced", async () => {
  await using host = await startHost();
  const module = crashable(echoPlugin());
  const old = await host.platform.addPlugin({ module });
  host.platform.on("step", ({ operation, step, state }) => {
    if (operation === "replace" && step === "health" && state === "started") module.crash();
  });
  await host.platform.replacePlugin(old.runtimeId, next());
  const caller = await host.caller();
  expect(await caller.providerOf(old.runtimeId)).toBe("echo@2.0.0");
  expect(module.running).toBe(0);
});

test("a plugin that came by itself and left while it was replaced is replaced, and its id keeps answering", async () => {
  await using host = await startHost();
  await using fake = await startFakePlugin();
  const identity = await host.handshake("echo");
  const caller = host.callerAs(identity);
  const { registrationId } = await caller.registry.registerService({
    serviceType: "echo",
    version: "1.0.0",
    endpointPath: "/echo.v1.Echo/",
    metadata: { base_url: fake.url },
  });
  await host.until(() => echoes(host.platform)[0]?.health === "healthy");
  const answer = deferred<object>();
  await using successor = await startFakePlugin({ version: "2.0.0", replies: { GetHealth: () => answer.promise } });
  const replacing = host.platform.replacePlugin(identity.runtimeId, { endpoint: successor.url });
  await successor.untilCalled("GetHealth");
  await caller.registry.unregisterService({ registrationId });
  const left = host.next("plugin-removed", ({ plugin }) => plugin.runtimeId === identity.runtimeId);
  await fake[Symbol.asyncDispose]();
  await left;
  answer.resolve({ state: "HEALTH_STATE_HEALTHY" });
  const plugin = await replacing;
  const other = await host.caller();
  expect(await other.providerOf(identity.runtimeId)).toBe("echo@2.0.0");
  expect(echoes(host.platform).map(({ runtimeId }) => runtimeId)).toEqual([plugin.runtimeId]);
}, 20_000);

test("two replacements of the same plugin at once: one happens, the other is told to wait", async () => {
  await using host = await startHost();
  const old = await host.platform.addPlugin({ module: echoPlugin() });
  const [one, other] = await Promise.allSettled([
    host.platform.replacePlugin(old.runtimeId, next("2.0.0")),
    host.platform.replacePlugin(old.runtimeId, next("3.0.0")),
  ]);
  expect(one.status).toBe("fulfilled");
  expect(other).toMatchObject({ status: "rejected", reason: { code: "OPERATION_CONFLICT" } });
  expect(host.platform.plugins()).toMatchObject([{ selfVersion: "2.0.0" }]);
});

test("a plugin that is being replaced cannot be removed meanwhile, and one that is being removed not replaced", async () => {
  await using host = await startHost();
  const old = await host.platform.addPlugin({ module: echoPlugin() });
  const replacing = host.platform.replacePlugin(old.runtimeId, next());
  await expect(host.platform.removePlugin(old.runtimeId)).rejects.toMatchObject({
    code: "OPERATION_CONFLICT",
    message: `${old.runtimeId} is being replaced; wait for that to end`,
  });
  const { runtimeId } = await replacing;
  const removing = host.platform.removePlugin(runtimeId);
  await expect(host.platform.replacePlugin(runtimeId, next())).rejects.toMatchObject({
    code: "OPERATION_CONFLICT",
    message: `${runtimeId} is being removed; wait for that to end`,
  });
  await removing;
});

test("a plugin cannot be replaced by itself", async () => {
  await using host = await startHost();
  await using endpoint = await startEndpoint();
  const old = await host.platform.addPlugin({ endpoint: endpoint.url });
  await expect(host.platform.replacePlugin(old.runtimeId, { endpoint: endpoint.url })).rejects.toMatchObject({
    code: "ENDPOINT_IN_USE",
  });
  const caller = await host.caller();
  expect(await caller.providerOf(old.runtimeId)).toBe("echo@1.0.0");
});

test("the new one can be replaced while the old one still drains, and every earlier id leads to the last", async () => {
  await using host = await startHost();
  const begun = deferred();
  const goOn = deferred();
  const slow = echoPlugin({
    onSay: () => {
      begun.resolve();
      return goOn.promise;
    },
  });
  const first = await host.platform.addPlugin({ module: slow });
  const caller = await host.caller();
  const answer = caller.providerOf(first.runtimeId);
  await begun.promise;
  const replaced = host.next("plugin-replaced");
  const replacing = host.platform.replacePlugin(first.runtimeId, next("2.0.0"));
  const second = (await replaced).after.runtimeId;
  const third = await host.platform.replacePlugin(second, next("3.0.0"));
  for (const id of [first.runtimeId, second, third.runtimeId]) expect(await caller.providerOf(id)).toBe("echo@3.0.0");
  goOn.resolve();
  expect(await answer).toBe("echo@1.0.0");
  await replacing;
});
