import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCli } from "../../src/cli/run-cli.js";
import { Platform } from "../../src/index.js";
import { CliFolder, fakeEnvironment, runHere } from "../support/cli.js";
import { plugin, program } from "../support/cli-plugins.js";
import { echoPlugin } from "../support/plugins.js";

const adminToken = "an-admin-token-of-tests";

/** A host in this process, and commands against it, as somebody in the folder of the plugins would give them. */
async function open() {
  const folder = await CliFolder.open({ "plugin.mjs": plugin, "main.mjs": program });
  const platform = new Platform({ adminToken });
  await platform.listen();
  const socket = join(folder.path, "admin.sock");
  await platform.listenAdmin({ path: socket });
  const variables = { CONNECT_PLUGIN_HOST_URL: platform.url ?? "", CONNECT_PLUGIN_HOST_ADMIN_TOKEN: adminToken };
  return {
    folder,
    platform,
    socket,
    variables,
    run: (...args: string[]) => runHere(args, { variables, workingDirectory: folder.path }),
    async json(...args: string[]) {
      const { exitCode, stdout, stderr } = await runHere([...args, "--json"], {
        variables,
        workingDirectory: folder.path,
      });
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      return JSON.parse(stdout);
    },
    async [Symbol.asyncDispose]() {
      await platform.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Logger, cache (requires it) and app (requires cache), as modules. */
async function chain(platform: Platform) {
  const logger = await platform.addPlugin({ module: echoPlugin({ id: "logger-plugin", type: "logger" }) });
  const cache = await platform.addPlugin({
    module: echoPlugin({ id: "cache-plugin", type: "cache", requires: ["logger@^1.0.0"] }),
  });
  const app = await platform.addPlugin({ module: echoPlugin({ id: "app-plugin", type: "app", requires: ["cache"] }) });
  return { logger: logger.runtimeId, cache: cache.runtimeId, app: app.runtimeId };
}

const lines = (text: string) => text.trimEnd().split("\n");

describe("for people", () => {
  test("an empty host has no plugins, services and order", async () => {
    await using host = await open();
    expect(await host.run("plugins")).toEqual({ exitCode: 0, stdout: "no plugins\n", stderr: "" });
    expect((await host.run("services")).stdout).toBe("no services\n");
    expect((await host.run("order")).stdout).toBe("no plugins\n");
  });

  test("plugins, services and order are tables, one line for each", async () => {
    await using host = await open();
    const ids = await chain(host.platform);
    const plugins = lines((await host.run("plugins")).stdout);
    expect(plugins[0]).toMatch(/^ID +VERSION +HEALTH +ORIGIN +CALLS +UP +PROVIDES$/);
    expect(plugins.slice(1)).toEqual([
      expect.stringMatching(new RegExp(`^${ids.logger} +1\\.0\\.0 +healthy +module +0 +\\ds +logger$`)),
      expect.stringMatching(new RegExp(`^${ids.cache} `)),
      expect.stringMatching(new RegExp(`^${ids.app} `)),
    ]);
    const services = lines((await host.run("services")).stdout);
    expect(services[0]).toMatch(/^TYPE +VERSION +STATE +PROVIDER +PATH +STRATEGY$/);
    expect(services.slice(1).map((line) => line.split(" ")[0])).toEqual(["app", "cache", "logger"]);
    expect(lines((await host.run("order")).stdout)).toEqual([
      "LEVEL  ID",
      `    1  ${ids.logger}`,
      `    2  ${ids.cache}`,
      `    3  ${ids.app}`,
    ]);
  });

  test("impact and plan say who would break, and plan ends with 6 if something speaks against it", async () => {
    await using host = await open();
    const ids = await chain(host.platform);
    expect((await host.run("impact", "logger-plugin")).stdout).toBe(
      [
        `if ${ids.logger} went`,
        "services affected        logger",
        `plugins that break       ${ids.cache}, ${ids.app}`,
        "lose something optional  none",
        "",
      ].join("\n"),
    );
    const removal = await host.run("plan", "remove", ids.cache);
    expect(removal.exitCode).toBe(0);
    expect(removal.stdout).toMatch(/^steps +impact, notify, unregister, shutdown, forget\n[\s\S]*\nproblems +none\n$/);
    const addition = await host.run("plan", "add", "--self-id", "x", "--requires", "queue@^2.0.0");
    expect(addition.exitCode).toBe(6);
    expect(addition.stdout).toMatch(/\nproblem +it requires queue: no plugin provides "queue"/);
    const provides = ["--self-id", "logger-plugin", "--provides", "logger@2.0.0"];
    const replacement = await host.run("plan", "replace", "logger-plugin", ...provides);
    expect(replacement.exitCode).toBe(6);
    expect(replacement.stdout).toContain(`${ids.cache} requires logger ^1.0.0`);
    expect(host.platform.plugins()).toHaveLength(3);
  });

  test("add takes an endpoint, a module and a program; remove and replace take them away again", async () => {
    await using host = await open();
    await using fake = await (await import("../support/plugins.js")).startFakePlugin({ id: "fake" });
    const endpoint = await host.run("add", fake.url);
    expect(endpoint.stdout).toMatch(/^added fake-[0-9a-f]+: fake 1\.0\.0, healthy, provides echo 1\.0\.0\n$/);
    const module = await host.run("add", "--module", "./plugin.mjs", "--quiet");
    expect(module.stdout).toMatch(/^echo-plugin-[0-9a-f]+\n$/);
    const program = ["--env", "NAME=store", "--env", "VERSION=1.2.3", "--", process.execPath, "main.mjs"];
    const added = await host.run("add", "--timeout", "20s", ...program);
    expect(added).toMatchObject({ exitCode: 0, stderr: "" });
    expect(added.stdout).toMatch(
      /^added store-plugin-[0-9a-f]+: store-plugin 1\.2\.3, healthy, provides store 1\.2\.3\n$/,
    );
    expect((await host.run("plugins")).stdout).toMatch(/^ID .* PID .* ADDRESS/);
    const replaced = await host.run(
      "replace",
      "store-plugin",
      "--env",
      "NAME=store",
      "--",
      process.execPath,
      "main.mjs",
    );
    expect(replaced.stdout).toMatch(
      /^replaced store-plugin-[0-9a-f]+ by store-plugin-[0-9a-f]+: store-plugin 1\.0\.0, healthy/,
    );
    const removed = await host.run("remove", "store-plugin", "--reason", "enough", "--grace", "10ms");
    expect(removed.stdout).toMatch(
      /^removed store-plugin-[0-9a-f]+\nservices affected +store\nplugins that break +none\n/,
    );
    expect(host.platform.plugins().map(({ selfId }) => selfId)).toEqual(["fake", "echo-plugin"]);
  });

  test("a module's file that has changed is loaded again", async () => {
    await using host = await open();
    await host.run("add", "--module", "./plugin.mjs");
    await host.folder.write("plugin.mjs", plugin.replace('VERSION = "1.0.0"', 'VERSION = "1.1.0"'));
    const replaced = await host.run("replace", "echo-plugin", "--module", "./plugin.mjs");
    expect(replaced.stdout).toContain("echo-plugin 1.1.0");
  });

  test("strategy sets how providers are chosen", async () => {
    await using host = await open();
    await chain(host.platform);
    expect((await host.run("strategy", "cache", "least-in-flight")).stdout).toBe("cache: least-in-flight\n");
    expect((await host.run("services")).stdout).toMatch(/^cache .* least-in-flight$/m);
    await host.run("strategy", "cache", "default");
    expect((await host.run("services")).stdout).toMatch(/^cache .* first$/m);
  });

  test("what is said of a plugin beforehand is checked", async () => {
    await using host = await open();
    const said = ["--self-id", "echo-plugin", "--provides", "echo@2.0.0"];
    const { exitCode, stderr } = await host.run("add", "--module", "./plugin.mjs", ...said);
    expect(exitCode).toBe(6);
    expect(stderr).toMatch(/\(DECLARATION_MISMATCH, in step describe\)/);
  });
});

describe("for programs", () => {
  test("--json is protobuf JSON with every field there", async () => {
    await using host = await open();
    expect(await host.json("plugins")).toEqual({ plugins: [] });
    expect(await host.json("services")).toEqual({ services: [] });
    expect(await host.json("order")).toEqual({ runtimeIds: [], levels: [] });
    const { plugin } = await host.json("add", "--module", "./plugin.mjs");
    expect(plugin).toEqual({
      runtimeId: expect.stringMatching(/^echo-plugin-/),
      selfId: "echo-plugin",
      selfVersion: "1.0.0",
      state: "serving",
      health: "healthy",
      reason: expect.any(String),
      provides: [{ type: "echo", version: "1.0.0", path: "/" }],
      requires: [],
      endpointUrl: "",
      startTime: expect.any(String),
      inFlight: 0,
      waiting: 0,
      traffic: { state: "passing", failures: 0, ejections: 0 },
      supervision: { state: "running", attempt: 0, crashes: 0, lastError: "" },
      importance: "required",
      origin: "module",
      link: false,
    });
    const { runtimeId } = plugin;
    expect(await host.json("plugins")).toEqual({ plugins: [plugin] });
    const provider = { runtimeId, version: "1.0.0", path: "/", state: "healthy", reason: expect.any(String) };
    expect(await host.json("services")).toEqual({
      services: [{ type: "echo", strategy: "first", providers: [provider] }],
    });
    expect(await host.json("order")).toEqual({ runtimeIds: [runtimeId], levels: [{ runtimeIds: [runtimeId] }] });
    const impact = { affectedServices: ["echo"], affectedPlugins: [], optionalImpact: [] };
    expect(await host.json("impact", "echo-plugin")).toEqual(impact);
    const steps = ["impact", "notify", "unregister", "shutdown", "forget"];
    expect(await host.json("plan", "remove", "echo-plugin")).toEqual({ steps, impact, problems: [] });
    expect(await host.json("strategy", "echo", "random")).toEqual({});
    expect(await host.json("replace", "echo", "--module", "./plugin.mjs")).toMatchObject({
      plugin: { selfId: "echo-plugin" },
    });
    expect(await host.json("remove", "echo")).toEqual({ impact });
  });

  test.each<{ args: string[]; exitCode: number; hostCode: string | null; why: string }>([
    { args: ["impact", "none"], exitCode: 4, hostCode: "PLUGIN_NOT_FOUND", why: "no such plugin" },
    { args: ["add", "http://127.0.0.1:1"], exitCode: 6, hostCode: "PLUGIN_UNREACHABLE", why: "nobody there" },
    { args: ["add", "--module", "./none.mjs"], exitCode: 6, hostCode: "PLUGIN_FAILED", why: "no such module" },
    { args: ["add", "--module", "./no-plugin.mjs"], exitCode: 2, hostCode: "INVALID_ARGUMENT", why: "no plugin in it" },
    { args: ["add", "--", "./no-such-program"], exitCode: 4, hostCode: "COMMAND_NOT_FOUND", why: "no such program" },
    { args: ["add", "--", "false"], exitCode: 6, hostCode: "PLUGIN_EXITED", why: "a program that ends at once" },
    {
      args: ["add", "--timeout", "300ms", "--", "sleep", "60"],
      exitCode: 7,
      hostCode: "STEP_TIMEOUT",
      why: "a program that hangs",
    },
    { args: ["strategy", "echo", "best"], exitCode: 2, hostCode: "INVALID_ARGUMENT", why: "no such strategy" },
    { args: ["watch", "--name", "bogus"], exitCode: 2, hostCode: "INVALID_ARGUMENT", why: "no such event" },
    { args: ["plugins", "--admin-token", "wrong"], exitCode: 5, hostCode: "UNAUTHENTICATED", why: "a wrong token" },
    {
      args: ["watch", "--admin-token", "wrong"],
      exitCode: 5,
      hostCode: "UNAUTHENTICATED",
      why: "the same for a stream",
    },
    { args: ["plugins", "--host", "http://127.0.0.1:9"], exitCode: 3, hostCode: null, why: "no host" },
    { args: ["watch", "--socket", "/none.sock"], exitCode: 3, hostCode: null, why: "no socket" },
  ])("$args ends with $exitCode ($why)", async ({ args, exitCode, hostCode }) => {
    await using host = await open();
    await host.folder.write("no-plugin.mjs", "export default {};");
    const dashesAt = args.indexOf("--");
    const withJson = dashesAt === -1 ? [...args, "--json"] : args.toSpliced(dashesAt, 0, "--json");
    const result = await host.run(...withJson);
    expect(JSON.parse(result.stderr)).toMatchObject({ error: { exitCode, hostCode } });
    expect(result).toMatchObject({ exitCode, stdout: "" });
    expect(host.platform.plugins()).toEqual([]);
  });

  test("a host without an admin service, and what is no host, are told apart from no host", async () => {
    await using host = await open();
    await using plain = new Platform();
    await plain.listen();
    const noAdmin = await host.run("plugins", "--host", plain.url ?? "");
    expect(noAdmin).toMatchObject({
      exitCode: 3,
      stderr: expect.stringMatching(/no admin service at[\s\S]*--admin-token/),
    });
  });

  test("a socket needs no token, and gets none", async () => {
    await using host = await open();
    const variables = { CONNECT_PLUGIN_HOST_SOCKET: "admin.sock" };
    const seenFrom = { variables, workingDirectory: host.folder.path };
    expect(await runHere(["plugins", "--socket", host.socket], seenFrom)).toMatchObject({ exitCode: 0 });
  });
});

describe("watch", () => {
  /** Runs it until it has printed the text. */
  function watching(host: Awaited<ReturnType<typeof open>>, ...args: string[]) {
    const base = fakeEnvironment({ variables: host.variables });
    const waiting = new Set<() => void>();
    const stdout = {
      ...base.stdout,
      write: (text: string) => {
        base.printed.stdout += text;
        for (const check of waiting) check();
      },
    };
    const environment = { ...base, stdout };
    const ended = runCli(["watch", ...args], environment);
    const untilPrinted = (text: string): Promise<void> =>
      new Promise((resolve) => {
        const check = (): void => {
          if (base.printed.stdout.includes(text)) resolve();
        };
        waiting.add(check);
        check();
      });
    return { ended, untilPrinted, printed: base.printed, signal: base.signal, closeStdout: base.closeStdout, base };
  }

  test("shows what happens, one line each, until Ctrl-C", async () => {
    await using host = await open();
    const watch = watching(host);
    await watch.untilPrinted("watching\n");
    await chain(host.platform);
    await watch.untilPrinted("app-plugin 1.0.0, module)\n");
    watch.signal("SIGINT");
    expect(await watch.ended).toBe(0);
    expect(watch.base.listeners).toBe(0);
    expect(watch.printed.stderr).toBe("");
    for (const line of lines(watch.printed.stdout)) expect(line).toMatch(/^\d\d:\d\d:\d\d\.\d{3} \S/);
  });

  test("--json prints an object a line, --name chooses", async () => {
    await using host = await open();
    const watch = watching(host, "--json", "--name", "plugin-added", "--name", "plugin-removed");
    await watch.untilPrinted("watching");
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    await host.platform.removePlugin(runtimeId);
    await watch.untilPrinted('plugin-removed","time');
    watch.signal("SIGTERM");
    expect(await watch.ended).toBe(0);
    const events = lines(watch.printed.stdout).map((line) => JSON.parse(line));
    expect(events.map(({ name }) => name)).toEqual(["watching", "plugin-added", "plugin-removed"]);
    expect(events[1]).toEqual({
      name: "plugin-added",
      time: expect.any(String),
      details: { plugin: expect.objectContaining({ runtimeId }) },
      dropped: "0",
    });
  });

  test("ends with 0 when nobody reads any more, and with 3 when the host stops", async () => {
    await using host = await open();
    const first = watching(host);
    await first.untilPrinted("watching");
    first.closeStdout();
    expect(await first.ended).toBe(0);
    const second = watching(host);
    await second.untilPrinted("watching");
    await host.platform.stop();
    expect(await second.ended).toBe(3);
    expect(second.printed.stderr).toContain("has stopped");
  });
});
