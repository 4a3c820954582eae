import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CliFolder } from "../support/cli.js";
import { plugin, program } from "../support/cli-plugins.js";
import { Load } from "../support/load.js";

const adminToken = "an-admin-token-of-tests";
const files = { "plugin.mjs": plugin, "main.mjs": program };

const process_ = (name: string, needs: string | undefined, more = "") => `
  - command: ${JSON.stringify(process.execPath)}
    args: [main.mjs]
    env: { NAME: ${name}${needs === undefined ? "" : `, NEEDS: ${needs}`}${more} }
    declares:
      selfId: ${name}-plugin
      selfVersion: 1.0.0
      provides: [{ type: ${name}, version: 1.0.0 }]
      requires: [${needs === undefined ? "" : `{ type: ${needs}, minVersion: ^1.0.0 }`}]
`;

/** An app that needs a cache that needs a logger, in the wrong order. */
const chain = `
listen: 127.0.0.1:0
adminSocket: admin.sock
ingress: [{ prefix: /app, type: app }, { prefix: /cache, type: cache }]
plugins:${process_("app", "cache")}${process_("cache", "logger")}
  - module: ./plugin.mjs
`;

const started = "plugins of the configuration started";

describe("serve", () => {
  test("its first line says where it listens, and nothing else goes to stdout", async () => {
    await using folder = await CliFolder.open();
    const host = await folder.serve(["--listen", "127.0.0.1:0"]);
    expect(host.stdout).toMatch(/^listening on http:\/\/127\.0\.0\.1:\d+\n$/);
    expect(await (await fetch(`${host.url}/readyz`)).text()).toBe("ok\n");
    host.child.kill("SIGTERM");
    const { exitCode, stdout, stderr } = await host.ended;
    expect({ exitCode, lines: stdout.split("\n").length }).toEqual({ exitCode: 0, lines: 2 });
    expect(stderr).toMatch(/admin service off/);
    expect(stderr).toMatch(/SIGTERM: draining[\s\S]*stopped\n$/);
  });

  test("--json makes the first line and the log JSON", async () => {
    await using folder = await CliFolder.open(files);
    const host = folder.start(["serve", "--json", "--admin-socket", "admin.sock"]);
    await host.untilPrinted("adminUrl");
    expect(JSON.parse(host.stdout)).toEqual({
      url: expect.stringMatching(/^http:/),
      adminUrl: `unix:${join(folder.path, "admin.sock")}`,
    });
    await folder.run(["add", "--socket", "admin.sock", "--module", "./plugin.mjs"]);
    host.child.kill("SIGINT");
    const { exitCode, stderr } = await host.ended;
    expect(exitCode).toBe(0);
    const events = stderr
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    for (const event of events)
      expect(event).toEqual({ name: expect.any(String), time: expect.any(String), details: expect.any(Object) });
    expect(events.map(({ name }) => name)).toContain("plugin-added");
  });

  test("starts the plugins of a file in the order of their dependencies, logs what they write, exposes and stops them", async () => {
    await using folder = await CliFolder.open({ ...files, "host.yaml": chain });
    const host = await folder.serve(["--config", "host.yaml"], { NAME: "logger" });
    await host.untilPrinted(started);
    const added = [...host.stderr.matchAll(/ (\w+)-plugin-[0-9a-f]+ added/g)].map(([, name]) => name);
    expect(added).toEqual(["logger", "cache", "app"]);
    expect(host.stderr).toMatch(/ cache-plugin(-[0-9a-f]+)? \| starting\n/);
    expect(await (await fetch(`${host.url}/app/`)).text()).toBe("app 1.0.0");
    expect((await stat(join(folder.path, "admin.sock"))).mode & 0o777).toBe(0o600);
    const socket = { CONNECT_PLUGIN_HOST_SOCKET: "admin.sock" };
    const { exitCode, stdout } = await folder.run(["plugins"], socket);
    expect({ exitCode, lines: stdout.trimEnd().split("\n").length }).toEqual({ exitCode: 0, lines: 4 });
    const pids = [...stdout.matchAll(/ process +(\d+) /g)].map(([, pid]) => Number(pid));
    expect(pids).toHaveLength(2);
    host.child.kill("SIGTERM");
    expect((await host.ended).exitCode).toBe(0);
    const removed = [...host.stderr.matchAll(/ (\w+)-plugin-[0-9a-f]+ removed: the host is stopping/g)].map(
      ([, name]) => name,
    );
    expect(removed).toEqual(["app", "cache", "logger"]);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
    await expect(readFile(join(folder.path, "admin.sock"))).rejects.toThrow(/ENOENT/);
    expect(await folder.run(["plugins"], socket)).toMatchObject({ exitCode: 3 });
  });

  test("SIGTERM under load: no call that was accepted fails, and the order is reversed", async () => {
    await using folder = await CliFolder.open({ ...files, "host.yaml": chain });
    const host = await folder.serve(["--config", "host.yaml"], { NAME: "logger" });
    await host.untilPrinted(started);
    const load = new Load(`${host.url}/app/slow`, 20, "app 1.0.0");
    await load.untilAnswered(40);
    host.child.kill("SIGTERM");
    const { exitCode, stderr } = await host.ended;
    await load.stop();
    expect(exitCode).toBe(0);
    expect(load.failures).toEqual([]);
    expect(load.answered).toBeGreaterThanOrEqual(40);
    const removed = [...stderr.matchAll(/ (\w+)-plugin-[0-9a-f]+ removed/g)].map(([, name]) => name);
    expect(removed).toEqual(["app", "cache", "logger"]);
  }, 30_000);

  test("a plugin that hangs, and a call that hangs in it, do not hold up the stop beyond its budget", async () => {
    const config = `stopBudgetMs: 1500\nadminSocket: admin.sock\ningress: [{ prefix: /, type: stuck }]\nplugins:${process_("stuck", undefined, ', HANGS: "1"')}`;
    await using folder = await CliFolder.open({ ...files, "host.yaml": config });
    const host = await folder.serve(["--config", "host.yaml"]);
    await host.untilPrinted(started.replace("plugins", "plugin"));
    const hanging = fetch(`${host.url}/hang`).then(
      ({ status }) => status,
      () => "cut",
    );
    await untilInFlight(folder, 1);
    const startedAt = performance.now();
    host.child.kill("SIGTERM");
    const { exitCode } = await host.ended;
    const tookMs = performance.now() - startedAt;
    expect(exitCode).toBe(0);
    expect(tookMs).toBeLessThan(3_000);
    expect(await hanging).not.toBe(200);
  }, 30_000);

  test("a second signal ends it at once, and its programs with it", async () => {
    const config = `stopBudgetMs: 60000\nadminSocket: admin.sock\ningress: [{ prefix: /, type: stuck }]\nplugins:${process_("stuck", undefined, ', HANGS: "1"')}`;
    await using folder = await CliFolder.open({ ...files, "host.yaml": config });
    const host = await folder.serve(["--config", "host.yaml"]);
    await host.untilPrinted("configuration started");
    const call = fetch(`${host.url}/hang`).catch(() => undefined);
    await untilInFlight(folder, 1);
    host.child.kill("SIGTERM");
    await host.untilPrinted("draining");
    host.child.kill("SIGTERM");
    expect((await host.ended).exitCode).toBe(143);
    await call;
  }, 30_000);

  test("a signal while plugins start leaves none of them", async () => {
    const config = `adminSocket: admin.sock\nplugins:\n  - { command: sleep, args: ["60"] }\n`;
    await using folder = await CliFolder.open({ ...files, "host.yaml": config });
    const host = await folder.serve(["--config", "host.yaml", "--verbose"]);
    await host.untilPrinted("add: describe started");
    host.child.kill("SIGTERM");
    expect((await host.ended).exitCode).toBe(0);
  });
});

describe("serve that cannot start", () => {
  test.each<{ config: string; exitCode: number; stderr: RegExp; why: string }>([
    {
      config: "listen: 5",
      exitCode: 2,
      stderr: /^error: host\.yaml:1:9: listen must be a text, got 5\n$/,
      why: "a bad file",
    },
    {
      config: "health: { intervalMs: 0 }",
      exitCode: 2,
      stderr: /^error: host\.yaml:1:23: health\.intervalMs must be a number from 1/,
      why: "a value that the host refuses",
    },
    {
      config: "plugins:\n  - module: ./plugin.mjs\n  - endpoint: http://127.0.0.1:1\n",
      exitCode: 6,
      stderr: /error: host\.yaml:3:5: plugins\[1\] failed: .*ECONNREFUSED.* \(PLUGIN_UNREACHABLE\)/,
      why: "a plugin that is not there",
    },
    {
      config: "plugins:\n  - module: ./none.mjs\n",
      exitCode: 6,
      stderr: /error: host\.yaml:2:5: plugins\[0\] failed: the module \.\/none\.mjs cannot be loaded/,
      why: "a module that is not there",
    },
    {
      config: "plugins:\n  - command: no-such-program\n",
      exitCode: 4,
      stderr: /plugins\[0\] failed: .*no-such-program[\s\S]*\(COMMAND_NOT_FOUND/,
      why: "a program that is not there",
    },
    {
      config: `plugins:${process_("a", "b")}${process_("b", "a")}`,
      exitCode: 6,
      stderr: /a-plugin.* -> .*b-plugin[\s\S]*\(DEPENDENCY_CYCLE/,
      why: "a circle",
    },
  ])("ends with $exitCode for $why, and nothing is left", async ({ config, exitCode, stderr }) => {
    await using folder = await CliFolder.open({ ...files, "host.yaml": config });
    const result = await folder.run(["serve", "--config", "host.yaml", "--admin-socket", "admin.sock"]);
    expect(result.stderr).toMatch(stderr);
    expect(result.exitCode).toBe(exitCode);
    await expect(stat(join(folder.path, "admin.sock"))).rejects.toThrow(/ENOENT/);
  });

  test("a port that somebody has is said", async () => {
    await using folder = await CliFolder.open();
    const host = await folder.serve([]);
    const { exitCode, stderr } = await folder.run(["serve", "--listen", new URL(host.url).host]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: expect.stringMatching(/EADDRINUSE.*\n.*port 0/) });
  });

  test("a socket of a killed host is replaced, one that is in use is not", async () => {
    await using folder = await CliFolder.open();
    const first = await folder.serve(["--admin-socket", "admin.sock"]);
    const second = await folder.run(["serve", "--admin-socket", "admin.sock"]);
    expect(second).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("EADDRINUSE") });
    expect(await folder.run(["plugins", "--socket", "admin.sock"])).toMatchObject({ exitCode: 0 });
    first.child.kill("SIGKILL");
    await first.ended;
    await folder.serve(["--admin-socket", "admin.sock"]);
    expect(await folder.run(["plugins", "--socket", "admin.sock"])).toMatchObject({ exitCode: 0 });
  });
});

describe("as a process", () => {
  test("the token comes from the environment or an option, and only the right one is accepted", async () => {
    await using folder = await CliFolder.open();
    const variables = { CONNECT_PLUGIN_HOST_ADMIN_TOKEN: adminToken };
    const host = await folder.serve([], variables);
    const at = { CONNECT_PLUGIN_HOST_URL: host.url };
    expect(await folder.run(["plugins"], { ...at, ...variables })).toEqual({
      exitCode: 0,
      stdout: "no plugins\n",
      stderr: "",
    });
    expect(await folder.run(["plugins", "--admin-token", adminToken], at)).toMatchObject({ exitCode: 0 });
    const without = await folder.run(["plugins"], at);
    expect(without).toMatchObject({
      exitCode: 5,
      stdout: "",
      stderr: expect.stringContaining("CONNECT_PLUGIN_HOST_ADMIN_TOKEN"),
    });
    expect(await folder.run(["plugins", "--admin-token", `${adminToken}x`], at)).toMatchObject({ exitCode: 5 });
  });

  test("a rejected promise of a module does not end the host", async () => {
    const careless = plugin.replace(
      "return {",
      'setTimeout(() => Promise.reject(new Error("nobody waits")), 10);\nreturn {',
    );
    await using folder = await CliFolder.open({ "plugin.mjs": careless });
    const host = await folder.serve(["--admin-socket", "admin.sock"]);
    await folder.run(["add", "--socket", "admin.sock", "--module", "./plugin.mjs"]);
    await host.untilPrinted("nobody waits");
    expect(await folder.run(["plugins", "--socket", "admin.sock"])).toMatchObject({ exitCode: 0 });
  });

  test("a reader that goes away ends watch without an error", async () => {
    await using folder = await CliFolder.open({ "plugin.mjs": plugin });
    await folder.serve(["--admin-socket", "admin.sock"]);
    const watch = folder.start(["watch", "--socket", "admin.sock"]);
    await watch.untilPrinted("watching");
    watch.child.stdout?.destroy();
    await folder.run(["add", "--socket", "admin.sock", "--module", "./plugin.mjs"]);
    expect(await watch.ended).toMatchObject({ exitCode: 0, stderr: "" });
  });
});

/** Asks until the host's plugins work on that many calls; the host counts a call as soon as it has forwarded it. */
async function untilInFlight(folder: CliFolder, count: number): Promise<void> {
  for (;;) {
    const { stdout } = await folder.run(["plugins", "--socket", "admin.sock", "--json"]);
    const { plugins } = JSON.parse(stdout) as { plugins: { inFlight: number }[] };
    if (plugins.reduce((sum, { inFlight }) => sum + inFlight, 0) >= count) return;
  }
}
