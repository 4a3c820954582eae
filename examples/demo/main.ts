// A chain of three plugins under traffic, while one of them is replaced, removed and brought back.
import { setTimeout as pause } from "node:timers/promises";
import { Platform } from "connect-plugin-host";
import { type DefinedPlugin, type ServedPlugin, servePlugin } from "connect-plugin-host/plugin";
import { appPlugin } from "../app/plugin.js";
import { cachePlugin } from "../cache/plugin.js";
import { App } from "../gen/app/v1/app_pb.js";
import { loggerPlugin } from "../logger/plugin.js";
import { CallLog } from "./call-log.js";
import { newerLoggerPlugin } from "./newer-logger.js";
import { count, dim, green, ms, print, red, section } from "./report.js";
import { Traffic, type TrafficCount } from "./traffic.js";

const callsPerSecond = 100;
const phaseMs = 1_000;

const platform = new Platform();
const calls = new CallLog(platform);
const served: ServedPlugin[] = [];
const problems: string[] = [];

/** Opens a port for a plugin, as a program of its own would. */
async function serve(plugin: DefinedPlugin): Promise<{ endpoint: string }> {
  const running = await servePlugin(plugin, { host: "127.0.0.1", port: 0, hostUrl: "" });
  served.push(running);
  return { endpoint: running.url };
}

/** How long something took, in milliseconds. */
async function timed<T>(work: () => Promise<T>): Promise<{ result: T; tookMs: number }> {
  const startedAt = performance.now();
  const result = await work();
  return { result, tookMs: performance.now() - startedAt };
}

/** Resolves when the plugin's health is `state`; rejects after five seconds. */
function untilHealth(selfId: string, state: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(limit);
      unsubscribe();
    };
    const limit = setTimeout(() => {
      done();
      reject(new Error(`${selfId} did not become ${state} within 30 s`));
    }, 30_000);
    const unsubscribe = platform.on("health", (event) => {
      if (event.selfId !== selfId || event.health.state !== state) return;
      done();
      resolve(event.health.reason);
    });
  });
}

const nameOf = (runtimeId: string): string => platform.plugin(runtimeId).selfId.replace(/-plugin$/, "");
const names = (runtimeIds: readonly string[]): string => runtimeIds.map(nameOf).join(", ") || "nobody";

/** Says how the calls went since `before`. */
function callsSince(before: TrafficCount, what: string): string {
  const { answered, failures } = traffic.count;
  const failed = failures.length - before.failures.length;
  const text = `${count(answered - before.answered)} calls to app ${what}, ${failed} failed`;
  return failed === 0 ? text : red(text);
}

await platform.listen({ host: "127.0.0.1", port: 0 });
print(`Three plugins, each an HTTP server of its own: app calls cache, cache calls logger.`);
print(dim(`Every call goes through the host at ${platform.url}.`));
print();

// Handed over in the wrong order: the host asks each what it needs, and starts them in the right one.
const started = await timed(async () =>
  platform.addPlugins([await serve(appPlugin), await serve(cachePlugin), await serve(loggerPlugin)]),
);
const [, , firstLogger] = started.result;
if (firstLogger === undefined) throw new Error("the logger is missing");
section("start", `${platform.getStartupOrder().map(nameOf).join(" -> ")}   ${dim(`in ${ms(started.tookMs)}`)}`);
const impact = platform.getImpact(firstLogger.runtimeId);
section("impact", `without logger, these lose something they require: ${names(impact.affectedPlugins)}`);

const app = platform.client(App);
const traffic = new Traffic(callsPerSecond, async (index) => {
  // One in ten is new to the cache, so that app has something to do and to log.
  const input = index % 10 === 0 ? `order ${index}` : `order ${index % 50}`;
  const { output } = await app.handle({ input });
  if (output !== input.toUpperCase()) throw new Error(`app answered ${JSON.stringify(output)} to ${input}`);
});

try {
  await pause(phaseMs);
  section(
    "traffic",
    `${callsPerSecond} calls to app a second, which become ${count(calls.total)} through the host`,
    callsSince({ answered: 0, failures: [] }, "so far"),
  );

  let before = traffic.count;
  const steps = calls.recordSteps();
  const refusedBefore = calls.refused;
  const replaced = await timed(async () =>
    platform.replacePlugin(firstLogger.runtimeId, await serve(newerLoggerPlugin)),
  );
  await pause(phaseMs);
  section(
    "replace",
    `logger ${firstLogger.selfVersion} -> ${replaced.result.selfVersion} in ${ms(replaced.tookMs)}`,
    dim(steps().join(", ")),
    `${callsSince(before, "meanwhile")}; ${count(calls.refused - refusedBefore)} calls between plugins refused`,
  );
  if (calls.refused > refusedBefore) problems.push("calls between plugins were refused during the replacement");

  before = traffic.count;
  const degraded = untilHealth("cache-plugin", "degraded");
  const [removed, reason] = await Promise.all([
    timed(() =>
      platform.removePlugin(replaced.result.runtimeId, { reason: "the demo takes it away", limits: { graceMs: 500 } }),
    ),
    degraded,
  ]);
  await pause(phaseMs);
  section(
    "remove",
    `logger gone in ${ms(removed.tookMs)}; cache is degraded: ${reason}`,
    callsSince(before, "meanwhile"),
  );

  before = traffic.count;
  const recovered = untilHealth("cache-plugin", "healthy");
  const [returned] = await Promise.all([
    timed(async () => platform.addPlugin(await serve(newerLoggerPlugin))),
    recovered,
  ]);
  await pause(phaseMs);
  section(
    "return",
    `logger ${returned.result.selfVersion} there again in ${ms(returned.tookMs)}; cache is healthy`,
    callsSince(before, "meanwhile"),
  );
} catch (error) {
  problems.push(String(error));
}

await traffic.stop();
const linesArrived = await calls.untilLogged(30_000);
await platform.stop();
await Promise.all(served.map((plugin) => plugin.stop()));

const { answered, failures } = traffic.count;
if (failures.length > 0) problems.push(`${failures.length} calls to app failed; the first: ${failures[0]}`);
if (calls.logged !== calls.cacheCalls) problems.push("log lines of the cache were lost");
if (calls.refused !== calls.refusedLogLines) problems.push("calls were refused that had nothing to do with the logger");
if (!linesArrived) problems.push("the cache did not deliver its log lines in time");

print();
section(
  "calls",
  `${count(answered)} to app answered, ${count(failures.length)} failed; median ${ms(traffic.durationMs(0.5))}, 99 % within ${ms(traffic.durationMs(0.99))}`,
  `${count(calls.total)} through the host in all; ${count(calls.refused)} refused: what app wanted to log while there was no logger`,
  `${count(calls.cacheCalls)} log lines of cache written, ${count(calls.logged)} delivered`,
);
print();
if (problems.length === 0) print(green("Nothing failed."));
else for (const problem of problems) print(red(`FAILED: ${problem}`));
process.exitCode = problems.length === 0 ? 0 : 1;
