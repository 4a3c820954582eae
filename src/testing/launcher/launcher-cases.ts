import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { failureOf, type LauncherBench } from "./launcher-bench.js";

type Case = (bench: LauncherBench) => Promise<void>;

async function* texts(...all: readonly string[]): AsyncGenerator<{ readonly text: string }> {
  for (const text of all) yield { text };
}

async function collect<T>(answers: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const answer of answers) all.push(answer);
  return all;
}

const serving = {
  "nobody sees the plugin before it is healthy, and then all of it": async (bench) => {
    const { host, conductor } = bench;
    const hold = conductor.hold("reach");
    const adding = bench.add("warming");
    await bench.reached("warm");
    equal(host.find("probe"), undefined);
    equal(
      host.platform.registry.services().some(({ type }) => type === "probe"),
      false,
    );
    hold.release();
    const plugin = await adding;
    equal(plugin.health, "healthy");
    deepEqual(
      plugin.provides.map(({ type, version }) => `${type} ${version}`),
      ["probe 1.0.0"],
    );
  },

  "it answers unary calls and all kinds of streams": async (bench) => {
    const { client } = bench;
    await bench.add("steady");
    equal((await client.say({ text: "hi" })).text, "hi");
    deepEqual(
      (await collect(client.count({ count: 3 }))).map(({ number }) => number),
      [0, 1, 2],
    );
    equal((await client.join(texts("a", "b", "c"))).text, "abc");
    deepEqual(
      (await collect(client.repeat(texts("x", "y")))).map(({ text }) => text),
      ["x", "y"],
    );
  },

  "it calls its dependencies, who are told its name": async (bench) => {
    const { client, conductor } = bench;
    const { runtimeId } = await bench.add("steady");
    await client.reach({ point: "asked" });
    deepEqual(
      conductor.calls("reach").map(({ request, callerId }) => [request.point, callerId]),
      [["asked", runtimeId]],
    );
  },

  "each start has one identity, which the plugin knows": async (bench) => {
    const { client, host } = bench;
    const first = await bench.add("steady");
    equal((await client.say({})).runtimeId, first.runtimeId);
    await host.remove(first.runtimeId);
    const second = await bench.add("steady");
    notEqual(second.runtimeId, first.runtimeId);
    equal((await client.say({})).runtimeId, second.runtimeId);
  },

  "two starts at once are two plugins": async (bench) => {
    const { client, host } = bench;
    const both = await Promise.all([bench.add("steady"), bench.add("steady")]);
    const answers = [await client.say({}), await client.say({})];
    deepEqual(new Set(answers.map(({ runtimeId }) => runtimeId)), new Set(both.map(({ runtimeId }) => runtimeId)));
    equal(host.platform.plugins().length, 3);
  },

  "what it writes is told line by line, under its name": async (bench) => {
    const { client, host } = bench;
    const { runtimeId } = await bench.add("steady");
    const told = (["stdout", "stderr"] as const).map((stream) =>
      host.next("output", (event) => event.stream === stream && event.line === "a line of its own"),
    );
    await client.write({ line: "a line of its own" });
    for (const { runtimeId: by, selfId } of await Promise.all(told)) deepEqual([by, selfId], [runtimeId, "probe"]);
  },

  "it is replaced under load without a failed call": async (bench) => {
    const { client } = bench;
    const { runtimeId } = await bench.add("steady");
    const versions = new Set<string>();
    let replaced = false;
    const call = async (): Promise<void> => {
      // A few calls more after the replacement show that they reach the new one.
      for (let left = 5; left > 0; left -= replaced ? 1 : 0) versions.add((await client.say({ text: "on" })).version);
    };
    const calls = Promise.all([call(), call(), call(), call()]);
    await Promise.race([bench.replace(runtimeId, "newer"), calls]);
    replaced = true;
    await calls;
    deepEqual([...versions], ["1.0.0", "1.1.0"]);
  },
} satisfies Record<string, Case>;

const failing = {
  "a setup that fails is told with its reason, and leaves nothing": async (bench) => {
    const error = await failureOf(bench.add("failing"));
    match(`${error.code} ${error.message}`, /^PLUGIN_(FAILED|EXITED|CRASHED) .*there is no database/s);
    await bench.nothingIsLeft();
  },

  "a start that takes too long is given up, and leaves nothing": async (bench) => {
    bench.conductor.hold("reach");
    const error = await failureOf(bench.add("waiting", { limits: { healthMs: 200 } }));
    match(error.code, /^(PLUGIN_NOT_HEALTHY|STEP_TIMEOUT)$/);
    await bench.nothingIsLeft();
  },

  "a start that is called off leaves nothing": async (bench) => {
    bench.conductor.hold("reach");
    const abort = new AbortController();
    const adding = failureOf(bench.add("waiting", { signal: abort.signal }));
    await bench.reached("setup");
    abort.abort();
    equal((await adding).code, "OPERATION_ABORTED");
    await bench.nothingIsLeft();
  },

  "a host that stops calls off the start, and nothing is left running": async (bench) => {
    bench.conductor.hold("reach");
    const adding = failureOf(bench.add("waiting"));
    await bench.reached("setup");
    await bench.host.stop();
    match((await adding).code, /^(HOST_STOPPED|OPERATION_ABORTED)$/);
    await bench.nothingRuns();
  },

  "one that crashes in its setup is told with its reason, and leaves nothing": async (bench) => {
    const hold = bench.conductor.hold("reach");
    const adding = failureOf(bench.add("waiting"));
    await bench.reached("setup");
    await bench.crashAt(hold.release, "it broke in setup");
    const error = await adding;
    match(error.code, /^PLUGIN_(FAILED|EXITED|CRASHED)$/);
    bench.tellsOf(error.message, "it broke in setup");
    await bench.nothingIsLeft();
  },

  "one that crashes while it is being added is told with its reason, and leaves nothing": async (bench) => {
    const hold = bench.conductor.hold("reach");
    const adding = failureOf(bench.add("warming"));
    await bench.reached("warm");
    await bench.crashAt(hold.release, "it broke before it was healthy");
    const error = await adding;
    match(error.code, /^PLUGIN_(FAILED|EXITED|CRASHED)$/);
    bench.tellsOf(error.message, "it broke before it was healthy");
    await bench.nothingIsLeft();
  },

  "one that crashes while it serves is told with its reason, gets no calls, and leaves nothing": async (bench) => {
    const { runtimeId } = await bench.add("steady");
    const told = bench.host.next("health", (event) => event.runtimeId === runtimeId && event.health.cause === "exit");
    await bench.crash("it broke while it served");
    bench.tellsOf((await told).health.reason, "it broke while it served");
    await bench.client.say({}).then(
      () => ok(false, "it still gets calls"),
      () => {},
    );
    await bench.host.platform.removePlugin(runtimeId);
    await bench.nothingIsLeft();
  },

  "one that crashes is started again, as another incarnation": async (bench) => {
    const before = await bench.add("steady", { restart: { firstDelayMs: 1, maxDelayMs: 1 } });
    const isBack = (): boolean => {
      const view = bench.host.find("probe");
      return view !== undefined && view.runtimeId !== before.runtimeId && view.health === "healthy";
    };
    await bench.crash("it broke, and comes back");
    await bench.host.until("it is not started again", isBack);
    equal((await bench.client.say({})).runtimeId, bench.host.find("probe")?.runtimeId);
    await bench.host.remove("probe");
    await bench.nothingIsLeft();
  },

  "one that crashes while it is being removed does not keep the removal waiting": async (bench) => {
    const { runtimeId } = await bench.add("steady");
    const hold = bench.conductor.hold("reach");
    const call = bench.client.reach({ point: "held" }).catch(() => "failed");
    await bench.reached("held");
    const unregistered = bench.host.next("unregistered");
    const removal = bench.host.platform.removePlugin(runtimeId, { limits: { drainMs: 60_000, shutdownMs: 5_000 } });
    await unregistered;
    await bench.crashAt(hold.release, "it broke while it drained");
    await Promise.all([removal, call]);
    await bench.nothingIsLeft();
  },
} satisfies Record<string, Case>;

const stopping = {
  "its removal waits for calls in flight, then runs its shutdown hook, and leaves nothing": async (bench) => {
    const { runtimeId } = await bench.add("steady");
    const hold = bench.conductor.hold("reach");
    const call = bench.client.reach({ point: "held" });
    await bench.reached("held");
    const unregistered = bench.host.next("unregistered");
    const removal = bench.host.platform.removePlugin(runtimeId);
    await unregistered;
    equal(bench.timesReached("stop"), 0);
    hold.release();
    await call;
    await removal;
    equal(bench.timesReached("stop"), 1);
    await bench.nothingIsLeft();
  },

  "removing it twice at once is removing it once": async (bench) => {
    const { runtimeId } = await bench.add("steady");
    const { platform } = bench.host;
    const impacts = await Promise.all([platform.removePlugin(runtimeId), platform.removePlugin(runtimeId)]);
    deepEqual(impacts[0], impacts[1]);
    ok(bench.timesReached("stop") <= 1, "its shutdown hook ran twice");
    equal((await failureOf(platform.removePlugin(runtimeId))).code, "PLUGIN_NOT_FOUND");
    await bench.nothingIsLeft();
  },

  "one that does not end by itself is ended when its time is over": async (bench) => {
    const { runtimeId } = await bench.add("stubborn");
    const began = performance.now();
    await bench.host.platform.removePlugin(runtimeId, { limits: { shutdownMs: 500 } });
    const tookMs = performance.now() - began;
    ok(tookMs < 5_000, `it took ${Math.round(tookMs)} ms`);
    await bench.nothingIsLeft();
  },

  "what an earlier incarnation says late does not harm the one in its place": async (bench) => {
    const { runtimeId } = await bench.add("gossiping");
    const after = await bench.replace(runtimeId, "newer");
    await bench.host.until("the earlier one is gone", () => bench.host.platform.plugins().length === 2);
    equal(bench.host.find(after.runtimeId)?.health, "healthy");
    equal((await bench.client.say({})).runtimeId, after.runtimeId);
  },

  "a host that stops runs its shutdown hook, and nothing is left running": async (bench) => {
    await bench.add("steady");
    await bench.host.stop();
    equal(bench.timesReached("stop"), 1);
    await bench.nothingRuns();
  },
} satisfies Record<string, Case>;

/** All cases by their names, which are sentences. */
export const launcherCases = { ...serving, ...failing, ...stopping } as const;

/** Name of a case, to leave it out with a reason. */
export type LauncherCaseName = keyof typeof launcherCases;
