import { join } from "node:path";
import { expect, test } from "vitest";
import { eventText } from "../../src/cli/event-text.js";
import { Platform, type Supervision } from "../../src/index.js";
import { CliFolder, runHere } from "../support/cli.js";
import { crashable, echoPlugin } from "../support/plugins.js";

/** A host with one plugin that is quarantined when it ends for the second time. */
async function open() {
  const folder = await CliFolder.open({});
  const platform = new Platform({ supervision: { firstDelayMs: 3_600_000, maxDelayMs: 3_600_000, maxCrashes: 2 } });
  await platform.listen();
  const socket = join(folder.path, "admin.sock");
  await platform.listenAdmin({ path: socket });
  const module = crashable(echoPlugin());
  await platform.addPlugin({ module, importance: "degrade" });
  const variables = { CONNECT_PLUGIN_HOST_SOCKET: socket };
  const run = (...args: string[]) => runHere(args, { variables, workingDirectory: folder.path });
  return {
    platform,
    run,
    async json(...args: string[]) {
      const { stdout, stderr } = await run(...args, "--json");
      expect(stderr).toBe("");
      return JSON.parse(stdout);
    },
    /** Ends the plugin. Resolves when the host has decided what becomes of it. */
    async crash(kind: Supervision["kind"]) {
      const decided = new Promise<void>((resolve) => {
        const off = platform.on("supervision", ({ supervision }) => {
          if (supervision.kind !== kind) return;
          off();
          resolve();
        });
      });
      module.crash("out of memory\nwith all its lines");
      await decided;
    },
    async [Symbol.asyncDispose]() {
      await platform.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

test("plugins shows what becomes of one that is down, and release starts it at once", async () => {
  await using host = await open();
  await host.crash("restarting");
  const { stdout } = await host.run("plugins");
  // Half of an hour for certain, the other half by chance.
  expect(stdout).toMatch(/unhealthy +restarting in [3-5]\dm/);
  const [plugin] = (await host.json("plugins")).plugins;
  expect(plugin).toMatchObject({
    importance: "degrade",
    supervision: { state: "restarting", attempt: 1, nextAt: expect.stringMatching(/^\d{4}-/), crashes: 0 },
  });
  const released = await host.run("release", "echo");
  expect(released).toMatchObject({ exitCode: 0, stderr: "" });
  expect(released.stdout).toMatch(/^runs echo-\w+: echo 1\.0\.0, healthy.*, provides echo 1\.0\.0\n$/);
  expect((await host.run("plugins")).stdout).not.toContain("restarting");
});

test("a quarantined plugin is named so, with when and after how many ends, and the line of a log says why", async () => {
  await using host = await open();
  const { platform } = host;
  const [first] = platform.plugins();
  await platform.replacePlugin(first?.runtimeId ?? "", { module: echoPlugin(), restart: { maxCrashes: 1 } });
  const module = crashable(echoPlugin());
  await platform.replacePlugin(platform.plugins()[0]?.runtimeId ?? "", { module });
  const events: unknown[] = [];
  platform.on("supervision", (event) => events.push(event));
  const quarantined = new Promise((resolve) => {
    platform.on("supervision", ({ supervision }) => supervision.kind === "quarantined" && resolve(undefined));
  });
  module.crash("out of memory\nwith all its lines");
  await quarantined;
  expect((await host.run("plugins")).stdout).toMatch(/unhealthy +quarantined /);
  const [plugin] = (await host.json("plugins")).plugins;
  expect(plugin.supervision).toMatchObject({
    state: "quarantined",
    crashes: 1,
    since: expect.stringMatching(/^\d{4}-/),
    lastError: "out of memory\nwith all its lines",
  });
  expect(eventText("supervision", JSON.parse(JSON.stringify(events.at(-1))))).toMatch(
    /^echo-\w+ is quarantined, it ended or failed to start once: out of memory$/,
  );
});

test("release of nobody is not found", async () => {
  await using host = await open();
  expect(await host.run("release", "nobody")).toMatchObject({ exitCode: 4 });
});
