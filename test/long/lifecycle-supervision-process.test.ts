import { expect, test } from "vitest";
import type { Platform, Supervision } from "../../src/index.js";
import { membersOf, probe, startPlatform, untilGroupsEnd } from "../support/process-plugins.js";

const untilState = (platform: Platform, kind: Supervision["kind"]) =>
  new Promise<{ readonly runtimeId: string; readonly supervision: Supervision }>((resolve) => {
    const off = platform.on("supervision", (event) => {
      if (event.supervision.kind !== kind) return;
      off();
      resolve(event);
    });
  });

const quick = { firstDelayMs: 20, maxDelayMs: 20 };

test("a program that is killed runs again in another process, with its group gone and its token worth nothing", async () => {
  const platform = await startPlatform({ supervision: quick });
  const first = await platform.addPlugin(probe(["--grandchild", "--register"]));
  const group = first.pid ?? 0;
  const again = untilState(platform, "running");
  process.kill(group, "SIGKILL");
  const { runtimeId } = await again;
  const second = platform.plugin(runtimeId);
  expect(second.pid).not.toBe(first.pid);
  expect(platform.plugin(first.runtimeId).runtimeId).toBe(runtimeId);
  expect(platform.plugins()).toHaveLength(1);
  await untilGroupsEnd([group], 1_000);
  const answer = await fetch(`${second.endpointUrl}/test.v1.Probe/Look`, { method: "POST", body: "{}" });
  expect(answer.status).toBe(200);
});

test("while it is down it has neither process nor address", async () => {
  const platform = await startPlatform({ supervision: { firstDelayMs: 60_000, maxDelayMs: 60_000 } });
  const first = await platform.addPlugin(probe());
  expect(first.endpointUrl).toMatch(/^http:/);
  const down = untilState(platform, "restarting");
  process.kill(first.pid ?? 0, "SIGKILL");
  await down;
  const { pid, endpointUrl, provides } = platform.plugin(first.runtimeId);
  expect({ pid, endpointUrl }).toEqual({ pid: undefined, endpointUrl: undefined });
  expect(provides).toHaveLength(1);
});

test("a program that crashes as soon as it serves is quarantined, and no process of it is left", async () => {
  const platform = await startPlatform({ supervision: { ...quick, maxCrashes: 3 } });
  const pids: number[] = [];
  const crash = (): void => {
    for (const { pid } of platform.plugins()) {
      if (pid === undefined) continue;
      pids.push(pid);
      process.kill(pid, "SIGKILL");
    }
  };
  platform.on("supervision", ({ supervision }) => supervision.kind === "running" && crash());
  const quarantined = untilState(platform, "quarantined");
  await platform.addPlugin(probe());
  crash();
  expect((await quarantined).supervision).toMatchObject({ crashes: 3 });
  expect(new Set(pids).size).toBe(3);
  await untilGroupsEnd(pids, 1_000);
});

test("a program that does not start again is tried until it is quarantined, with what it wrote as the reason", async () => {
  const platform = await startPlatform({ supervision: { ...quick, maxCrashes: 3 } });
  const program = { ...probe(), env: { SELF_ID: "probe" } };
  const flags = program.args;
  const first = await platform.addPlugin(program);
  // A source is read once, so that what the caller does to it later has no part in it.
  flags.push("--exit");
  const again = untilState(platform, "running");
  process.kill(first.pid ?? 0, "SIGKILL");
  await again;
  const node = (code: string) => ({ command: process.execPath, args: ["-e", code] });
  const quarantined = untilState(platform, "quarantined");
  await platform.addPlugins([
    { ...node("console.error('cannot open the database'); process.exit(3)"), importance: "degrade" },
  ]);
  expect((await quarantined).supervision).toMatchObject({
    crashes: 3,
    lastError: expect.stringMatching(/exited with code 3[\s\S]*cannot open the database/),
  });
});

test("stopping during a start under way leaves no process", async () => {
  const platform = await startPlatform({ supervision: quick });
  const first = await platform.addPlugin(probe());
  const pids = new Set<number | undefined>();
  const launched = new Promise<void>((resolve) => {
    platform.on("step", ({ operation, step, state }) => {
      if (operation === "restart" && step === "start" && state === "started") resolve();
    });
  });
  platform.on("output", ({ pid }) => pids.add(pid));
  process.kill(first.pid ?? 0, "SIGKILL");
  await launched;
  await platform.stop();
  expect(await membersOf([first.pid ?? 0, ...[...pids].flatMap((pid) => pid ?? [])])).toEqual([]);
  expect(platform.plugins()).toEqual([]);
});
