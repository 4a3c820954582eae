import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CliFolder } from "../support/cli.js";
import { Load } from "../support/load.js";
import { membersOf } from "../support/process-plugins.js";

/** Passes a call on to what it needs, and answers with all their names once it has taken its time. */
const plugin = `
import { definePlugin } from "connect-plugin-host/plugin";
const { NAME, NEEDS, STUCK } = process.env;
export default definePlugin({
  id: NAME + "-plugin",
  version: "1.0.0",
  provides: { [NAME]: { handler: "fetch" } },
  requires: NEEDS === undefined ? {} : { [NEEDS]: {} },
  setup: (plugin) => {
    if (STUCK) plugin.onStop(() => new Promise(() => {}));
    return {
      [NAME]: async () => {
        const below = NEEDS === undefined ? "" : " " + (await (await plugin.fetch(NEEDS, "/")).text());
        await new Promise((done) => setTimeout(done, 50));
        return new Response(NAME + below);
      },
    };
  },
});
`;

const program = `
import { servePlugin } from "connect-plugin-host/plugin";
import plugin from "./plugin.mjs";
if (process.env.STUCK) process.on("SIGTERM", () => {});
await servePlugin(plugin, process.env.STUCK ? {} : { shutdownSignals: ["SIGTERM", "SIGINT"] });
`;

const entry = (name: string, needs: string | undefined, env: string) => `
  - command: ${JSON.stringify(process.execPath)}
    args: [main.mjs]
    env: { NAME: ${name}${needs === undefined ? "" : `, NEEDS: ${needs}`}${env} }
    declares:
      selfId: ${name}-plugin
      selfVersion: 1.0.0
      provides: [{ type: ${name}, version: 1.0.0 }]
      requires: [${needs === undefined ? "" : `{ type: ${needs} }`}]
`;

const budgetMs = 4_000;

const configuration = (env = "") => `
listen: 127.0.0.1:0
adminSocket: admin.sock
stopBudgetMs: ${budgetMs}
ingress: [{ prefix: /app, type: app }, { prefix: /cache, type: cache }, { prefix: /logger, type: logger }]
plugins:${entry("app", "cache", env)}${entry("cache", "logger", env)}${entry("logger", undefined, env)}
`;

/** The host with its three programs, and what it leaves behind. */
async function start(folder: CliFolder) {
  const host = await folder.serve(["--config", "host.yaml"]);
  await host.untilPrinted("plugins of the configuration started");
  const { stdout } = await folder.run(["plugins", "--socket", "admin.sock", "--json"]);
  const { plugins } = JSON.parse(stdout) as { plugins: { pid: number }[] };
  const pids = plugins.map(({ pid }) => pid);
  expect(pids).toHaveLength(3);
  return {
    host,
    async terminated() {
      const startedAt = performance.now();
      host.child.kill("SIGTERM");
      const { exitCode, stderr } = await host.ended;
      const tookMs = performance.now() - startedAt;
      const removed = [...stderr.matchAll(/ (\w+)-plugin-[0-9a-f]+ removed/g)].map(([, name]) => name);
      const left = await membersOf(pids);
      const hasSocket = await stat(join(folder.path, "admin.sock")).then(
        () => true,
        () => false,
      );
      return { exitCode, tookMs, removed, left, hasSocket };
    },
  };
}

describe("SIGTERM for a host with three programs that call each other", () => {
  test("under load: every accepted call is answered through all of them, dependants go first, and nothing is left", async () => {
    await using folder = await CliFolder.open({
      "plugin.mjs": plugin,
      "main.mjs": program,
      "host.yaml": configuration(),
    });
    const { host, terminated } = await start(folder);
    const loads = [
      new Load(`${host.url}/app/`, 8, "app cache logger"),
      new Load(`${host.url}/cache/`, 8, "cache logger"),
      new Load(`${host.url}/logger/`, 8, "logger"),
    ];
    await Promise.all(loads.map((load) => load.untilAnswered(40)));
    const { tookMs, ...outcome } = await terminated();
    await Promise.all(loads.map((load) => load.stop()));
    expect(loads.flatMap(({ failures }) => failures)).toEqual([]);
    expect(outcome).toEqual({ exitCode: 0, removed: ["app", "cache", "logger"], left: [], hasSocket: false });
    // Calls of a sixth of a second keep nobody until the budget is used up.
    expect(tookMs).toBeLessThan(budgetMs);
  });

  test("with programs that never stop: the budget is kept, and nothing is left all the same", async () => {
    const stuck = configuration(', STUCK: "1"');
    await using folder = await CliFolder.open({ "plugin.mjs": plugin, "main.mjs": program, "host.yaml": stuck });
    const { host, terminated } = await start(folder);
    const load = new Load(`${host.url}/app/`, 8, "app cache logger");
    await load.untilAnswered(40);
    const { tookMs, ...outcome } = await terminated();
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(outcome).toEqual({ exitCode: 0, removed: ["app", "cache", "logger"], left: [], hasSocket: false });
    expect(tookMs).toBeLessThan(budgetMs + 1_000);
  });
});
