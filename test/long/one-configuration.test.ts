import { describe, expect, test } from "vitest";
import { CliFolder } from "../support/cli.js";

/** Two plugins, each a file that says nothing of how it is run, and the one program that serves such a file. */
const files = {
  "greeter.mjs": `
import { threadId } from "node:worker_threads";
import { definePlugin } from "connect-plugin-host/plugin";
export default definePlugin({
  id: "greeter",
  version: "1.0.0",
  provides: { greeter: { handler: "fetch" } },
  setup: () => ({ greeter: () => new Response("hello from " + process.pid + "/" + threadId) }),
});
`,
  "app.mjs": `
import { threadId } from "node:worker_threads";
import { definePlugin } from "connect-plugin-host/plugin";
export default definePlugin({
  id: "app",
  version: "1.0.0",
  requires: { greeter: {} },
  provides: { app: { handler: "fetch" } },
  setup: (plugin) => ({
    app: async () => {
      const greeting = await (await plugin.fetch("greeter", "/")).text();
      return new Response(greeting + " to " + process.pid + "/" + threadId);
    },
  }),
});
`,
  "run.mjs": `
import { pathToFileURL } from "node:url";
import { servePlugin } from "connect-plugin-host/plugin";
const { default: plugin } = await import(pathToFileURL(process.argv[2]).href);
const running = await servePlugin(plugin, { shutdownSignals: ["SIGTERM", "SIGINT"] });
console.log("serving " + running.url);
`,
};

/** The one line by which a plugin runs in each way. */
const lines = {
  module: (file: string) => `{ module: ./${file} }`,
  worker: (file: string) => `{ worker: ./${file} }`,
  command: (file: string) => `{ command: node, args: [run.mjs, ${file}] }`,
} as const;
type Way = keyof typeof lines;

const settings = `
listen: 127.0.0.1:0
adminSocket: admin.sock
selection: { greeter: round-robin }
ingress: [{ prefix: /app, type: app }, { prefix: /greeter, type: greeter }]
plugins:
`;

const started = "of the configuration started";

/** In which process and thread something ran, as a text of the answers. */
const placeOf = (way: Way, host: number | undefined): RegExp =>
  ({ module: new RegExp(`^${host}/0$`), worker: new RegExp(`^${host}/[1-9]`), command: /^\d+\/0$/ })[way];

describe("a configuration in which one line of a plugin says how it runs", () => {
  test.each<{ greeter: Way; app: Way }>([
    { greeter: "module", app: "module" },
    { greeter: "worker", app: "module" },
    { greeter: "command", app: "module" },
    { greeter: "module", app: "worker" },
    { greeter: "worker", app: "command" },
    { greeter: "command", app: "worker" },
  ])("runs the same files with the greeter as $greeter and the app as $app", async ({ greeter, app }) => {
    const config = `${settings}  - ${lines[app]("app.mjs")}\n  - ${lines[greeter]("greeter.mjs")}\n`;
    await using folder = await CliFolder.open({ ...files, "host.yaml": config });
    const host = await folder.serve(["--config", "host.yaml"]);
    await host.untilPrinted(started);
    const answer = await fetch(`${host.url}/app`);
    expect(answer.status).toBe(200);
    const [, from = "", to = ""] = /^hello from (\S+) to (\S+)$/.exec(await answer.text()) ?? [];
    expect(from).toMatch(placeOf(greeter, host.child.pid));
    expect(to).toMatch(placeOf(app, host.child.pid));
    for (const [way, place] of [
      [greeter, from],
      [app, to],
    ] as const) {
      if (way === "command") expect(place).not.toBe(`${host.child.pid}/0`);
    }
    host.child.kill("SIGTERM");
    expect((await host.ended).exitCode).toBe(0);
  });

  test("runs the same file in all ways at once, and calls go to each", async () => {
    await using folder = await CliFolder.open(files);
    const outside = folder.startProgram(["run.mjs", "greeter.mjs"]);
    await outside.untilPrinted("serving http");
    const endpoint = outside.stdout.replace("serving ", "").trim();
    const all = [...Object.values(lines).map((line) => line("greeter.mjs")), `{ endpoint: "${endpoint}" }`];
    await folder.write("host.yaml", `${settings}${all.map((line) => `  - ${line}\n`).join("")}  - module: ./app.mjs\n`);
    const host = await folder.serve(["--config", "host.yaml"]);
    await host.untilPrinted(started);
    const places = new Set<string>();
    for (let call = 0; call < 8; call++) places.add(await (await fetch(`${host.url}/greeter`)).text());
    expect(places.size).toBe(4);
    expect(places).toContain(`hello from ${host.child.pid}/0`);
    expect(places).toContain(`hello from ${outside.child.pid}/0`);
    const { stdout } = await folder.run(["plugins", "--socket", "admin.sock", "--json"]);
    const { plugins } = JSON.parse(stdout) as { plugins: { selfId: string; origin: string }[] };
    expect(plugins.map(({ selfId, origin }) => `${selfId} ${origin}`).sort()).toEqual([
      "app module",
      "greeter endpoint",
      "greeter module",
      "greeter process",
      "greeter worker",
    ]);
    host.child.kill("SIGTERM");
    expect((await host.ended).exitCode).toBe(0);
  });
});
