import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { expect, onTestFinished, type TestContext, test } from "vitest";
import { systemClock } from "../../../src/internal/clock.js";
import { KeptProgram } from "../../../src/launch/kept-program.js";
import { hashOfNonce } from "../../../src/launch/launch-nonces.js";
import { startOfProcess } from "../../../src/launch/process-identity.js";
import { ProcessProgram } from "../../../src/launch/process-program.js";
import { RecordedGroup } from "../../../src/launch/recorded-group.js";

const tries = 200;

/**
 * Starts a process that gets an id that was another's, as Linux lets who may say which comes next. Skips where it may not.
 *
 * @param before when the other one began; a process of the same clock tick, of which there are a hundred a second, is no other
 */
async function startAs(pid: number, context: TestContext, before?: string): Promise<ChildProcess> {
  for (let attempt = 0; attempt < tries; attempt++) {
    try {
      writeFileSync("/proc/sys/kernel/ns_last_pid", String(pid - 1));
    } catch {
      context.skip("this user may not choose the next process id");
    }
    const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
    if (child.pid === pid && startOfProcess(pid) !== before) {
      onTestFinished(() => void child.kill("SIGKILL"));
      return child;
    }
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  return context.skip("others took the process id each time");
}

test("stopping a program that has ended does not touch who has its id and its group now", async (context) => {
  const environment = { PATH: process.env.PATH ?? "" };
  const spec = {
    file: "/bin/sh",
    args: ["-c", "exit 0"],
    cwd: "/",
    environment,
    onHostExit: "stop",
    secret: "",
  } as const;
  const program = await ProcessProgram.start(spec, systemClock, () => {});
  await program.exited;
  const innocent = await startAs(program.pid, context);
  const startedAt = performance.now();
  await program.stop(1_000);
  // Nor does it wait for its end.
  expect(performance.now() - startedAt).toBeLessThan(900);
  expect([innocent.exitCode, innocent.signalCode]).toEqual([null, null]);
});

test("stopping a kept program that has ended does not touch who has its id and its group now", async (context) => {
  const nonce = "n".repeat(43);
  const env = { PATH: process.env.PATH ?? "", HOST_URL: `http://127.0.0.1:1/_launch/${nonce}` };
  const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore", env });
  const pid = child.pid ?? 0;
  const startedAt = startOfProcess(pid) ?? "";
  const record = {
    pid,
    groupId: pid,
    startedAt,
    nonceHash: hashOfNonce(nonce),
    hostUrl: "http://127.0.0.1:1",
    port: 1,
  };
  const group = new RecordedGroup(record);
  const program = new KeptProgram({ pid, startedAt, group, clock: systemClock });
  child.kill("SIGKILL");
  await once(child, "exit");
  const innocent = await startAs(pid, context, startedAt);
  await program.stop(500);
  await program.exited;
  expect(await group.leader()).toBe("gone");
  expect([innocent.exitCode, innocent.signalCode]).toEqual([null, null]);
});
