import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { appPlugin } from "../../examples/app/plugin.js";
import { cachePlugin } from "../../examples/cache/plugin.js";
import { App } from "../../examples/gen/app/v1/app_pb.js";
import { Logger } from "../../examples/gen/logger/v1/logger_pb.js";
import { loggerPlugin } from "../../examples/logger/plugin.js";
import { buildExamples } from "../../scripts/example-build.mjs";
import type { PluginSpec, PluginView } from "../../src/index.js";
import { type DefinedPlugin, servePlugin } from "../../src/plugin/index.js";
import { ContractHost } from "../support/contract-host.js";
import { within } from "../support/http-server.js";

const everybody = [appPlugin, cachePlugin, loggerPlugin];

/** One way to bring plugins to a host. */
interface Deployment {
  readonly name: string;
  /** Starts all of them, in any order. */
  startAll(host: ContractHost): Promise<unknown>;
  /** Starts one of them. */
  start(host: ContractHost, plugin: DefinedPlugin): Promise<unknown>;
  /** Takes it away. */
  stop(host: ContractHost, selfId: string): Promise<unknown>;
}

const viewOf = (host: ContractHost, selfId: string): PluginView => {
  const view = host.platform.plugins().find((plugin) => plugin.selfId === selfId);
  if (view === undefined) throw new Error(`there is no ${selfId}`);
  return view;
};

const removeIt = (host: ContractHost, selfId: string) => host.platform.removePlugin(viewOf(host, selfId).runtimeId);

const inProcess: Deployment = {
  name: "in the host's process",
  startAll: (host) => host.platform.addPlugins(everybody.map((module) => ({ module }))),
  start: (host, module) => host.platform.addPlugin({ module }),
  stop: removeIt,
};

let compiled = "";
beforeAll(() => {
  compiled = join(buildExamples(), "examples");
}, 60_000);

/** The example's own program. A set of programs is ordered by what is declared, so that says what the plugin would. */
function programOf({ id, definition }: DefinedPlugin): PluginSpec {
  const { version, provides, requires } = definition;
  return {
    command: process.execPath,
    args: [join(compiled, id.replace("-plugin", ""), "main.js")],
    declares: { selfId: id, selfVersion: version, provides, requires },
  };
}

const launched: Deployment = {
  name: "as child processes",
  startAll: (host) => host.platform.addPlugins(everybody.map(programOf)),
  start: (host, plugin) => host.platform.addPlugin(programOf(plugin)),
  stop: removeIt,
};

/** The example's own module. It is asked what it needs when it runs, so that a set is ordered by what is declared. */
function workerOf(plugin: DefinedPlugin): PluginSpec {
  const { declares } = programOf(plugin);
  const file = join(compiled, plugin.id.replace("-plugin", ""), "plugin.js");
  return { worker: pathToFileURL(file), ...(declares !== undefined && { declares }) };
}

const inWorkers: Deployment = {
  name: "in worker threads",
  startAll: (host) => host.platform.addPlugins(everybody.map(workerOf)),
  start: (host, plugin) => host.platform.addPlugin(workerOf(plugin)),
  stop: removeIt,
};

async function serveManaged(plugin: DefinedPlugin): Promise<string> {
  const served = await servePlugin(plugin, { env: {} });
  onTestFinished(() => served.stop());
  return served.url;
}

const managed: Deployment = {
  name: "as managed endpoints",
  async startAll(host) {
    const endpoints = await Promise.all(everybody.map(serveManaged));
    await host.platform.addPlugins(endpoints.map((endpoint) => ({ endpoint })));
  },
  start: async (host, plugin) => host.platform.addPlugin({ endpoint: await serveManaged(plugin) }),
  stop: removeIt,
};

function selfRegistering(): Deployment {
  const running = new Map<DefinedPlugin, { stop(): Promise<void> }>();
  const start = async (host: ContractHost, plugin: DefinedPlugin): Promise<void> => {
    const served = await servePlugin(plugin, { hostUrl: host.url, env: {} });
    running.set(plugin, served);
    onTestFinished(() => served.stop());
  };
  return {
    name: "registering themselves",
    startAll: (host) => Promise.all(everybody.map((plugin) => start(host, plugin))),
    start,
    stop: async (_host, selfId) => running.get(everybody.find(({ id }) => id === selfId) as DefinedPlugin)?.stop(),
  };
}

const isHealthy = (host: ContractHost) => () => {
  const views = host.platform.plugins();
  return views.length === 3 && views.every(({ health }) => health === "healthy");
};

/** Lines in the log that came from the cache, as soon as there are that many. */
async function linesFromCache(host: ContractHost, count: number): Promise<string[]> {
  const logger = host.platform.client(Logger);
  const cacheId = viewOf(host, "cache-plugin").runtimeId;
  for (;;) {
    const { entries } = await logger.listEntries({});
    const lines = entries.filter(({ callerId }) => callerId === cacheId).map(({ message }) => message);
    if (lines.length >= count) return lines;
  }
}

test.each([inProcess, inWorkers, launched, managed, selfRegistering()])(
  "$name, app calls cache, cache calls logger, and the cache degrades and recovers as the logger goes and returns",
  async (deployment) => {
    // Polls often, so that it soon shows that a program which has unregistered is gone.
    await using host = await ContractHost.start({ limits: { graceMs: 100 }, health: { intervalMs: 100, retryMs: 50 } });
    await deployment.startAll(host);
    await within(8_000, "three healthy plugins", host.until(isHealthy(host)));
    const app = host.platform.client(App);
    expect(await app.handle({ input: "one" })).toMatchObject({ output: "ONE", fromCache: false });
    expect(await app.handle({ input: "one" })).toMatchObject({ output: "ONE", fromCache: true });
    expect(await within(5_000, "the cache's lines", linesFromCache(host, 3))).toEqual([
      "get app:one: miss",
      "set app:one",
      "get app:one: hit",
    ]);

    await deployment.stop(host, "logger-plugin");
    await within(
      5_000,
      "degraded",
      host.until(() => viewOf(host, "cache-plugin").health === "degraded"),
    );
    expect(viewOf(host, "cache-plugin")).toMatchObject({
      healthCause: "reported",
      reason: expect.stringContaining("logger"),
    });
    expect(await app.handle({ input: "two" })).toMatchObject({ output: "TWO", fromCache: false });

    await deployment.start(host, loggerPlugin);
    await within(5_000, "recovered", host.until(isHealthy(host)));
    expect(await within(5_000, "the cache's lines", linesFromCache(host, 2))).toEqual([
      "get app:two: miss",
      "set app:two",
    ]);
  },
);

test.each([inProcess, inWorkers, launched, managed])(
  "$name, startup order and impact follow the declared dependencies",
  async (deployment) => {
    await using host = await ContractHost.start();
    await deployment.startAll(host);
    const ids = (["logger-plugin", "cache-plugin", "app-plugin"] as const).map(
      (selfId) => viewOf(host, selfId).runtimeId,
    );
    const [logger, cache, app] = ids as [string, string, string];
    expect(host.platform.getStartupOrder()).toEqual(ids);
    expect(host.platform.getStartupLevels()).toEqual([[logger], [cache], [app]]);
    expect(host.platform.getImpact(logger)).toEqual({
      affectedServices: ["logger"],
      affectedPlugins: [cache, app],
      optionalImpact: [],
    });
    expect(host.platform.getImpact(app)).toEqual({
      affectedServices: ["app"],
      affectedPlugins: [],
      optionalImpact: [],
    });
  },
);

test("plugins that register themselves are asked what they require", async () => {
  await using host = await ContractHost.start();
  await selfRegistering().startAll(host);
  await within(8_000, "three healthy plugins", host.until(isHealthy(host)));
  await within(
    8_000,
    "declared dependencies",
    host.until(
      () =>
        viewOf(host, "app-plugin").requires.some(({ source }) => source === "declared") &&
        viewOf(host, "cache-plugin").requires.some(({ source }) => source === "declared"),
    ),
  );
  const names = host.platform.getStartupOrder().map((id) => host.platform.plugin(id).selfId);
  expect(names).toEqual(["logger-plugin", "cache-plugin", "app-plugin"]);
});
