import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { CliFolder } from "../support/cli.js";
import { callProbe, probe, untilGroupsEnd } from "../support/process-plugins.js";

const kept = (SELF_ID: string) => {
  const { command, args } = probe();
  return { command, args, env: { SELF_ID, PROVIDES: SELF_ID }, onHostExit: "keep" };
};

const config = (plugins: readonly object[], more: object = {}): string =>
  JSON.stringify({ stateDir: "state", adminSocket: "admin.sock", plugins, ...more });

interface ListedPlugin {
  readonly selfId: string;
  readonly pid: number;
  readonly endpointUrl: string;
}

async function plugins(folder: CliFolder): Promise<ListedPlugin[]> {
  const { stdout } = await folder.run(["plugins", "--json", "--socket", "admin.sock"]);
  const listed = JSON.parse(stdout);
  return Array.isArray(listed) ? listed : listed.plugins;
}

test("a host of the command line that comes back at its address serves with the same processes, and sweeps the others if told so", async () => {
  await using folder = await CliFolder.open({
    "first.json": config([kept("one"), kept("other")]),
    "next.json": config([kept("one")], { sweepKept: true }),
  });
  const first = await folder.serve(["--config", "first.json"]);
  await first.untilPrinted("of the configuration started");
  const before = await plugins(folder);
  onTestFinished(() => {
    for (const { pid } of before) {
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // It has ended.
      }
    }
  });
  first.child.kill("SIGKILL");
  await once(first.child, "exit");
  const next = await folder.serve(["--config", "next.json", "--listen", new URL(first.url).host]);
  await next.untilPrinted("of the configuration started");
  const pidOf = (name: string): number => before.find(({ selfId }) => selfId === name)?.pid ?? 0;
  const [one, ...more] = await plugins(folder);
  expect(more).toEqual([]);
  expect(one?.pid).toBe(pidOf("one"));
  expect((await callProbe(one?.endpointUrl)).environment.SELF_ID).toBe("one");
  await untilGroupsEnd([pidOf("other")], 2_000);
  next.child.kill("SIGTERM");
  const { exitCode, stderr } = await next.ended;
  expect({ exitCode, stderr }).toMatchObject({
    exitCode: 0,
    stderr: expect.stringContaining(`process ${pidOf("other")}`),
  });
  await untilGroupsEnd([pidOf("one")], 2_000);
  expect((await readdir(join(folder.path, "state"))).filter((name) => name.startsWith("launch-"))).toEqual([]);
});
