import { readdirSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../src/internal/clock.js";
import { groupMembers } from "../../../src/launch/process-group.js";
import { ProcessProgram, type ProgramSpec } from "../../../src/launch/process-program.js";
import type { OutputLine } from "../../../src/model/launch.js";

const lines = new WeakMap<ProcessProgram, OutputLine[]>();

async function start(script: string, spec: Partial<ProgramSpec> = {}): Promise<ProcessProgram> {
  const written: OutputLine[] = [];
  const program = await ProcessProgram.start(
    {
      file: "/bin/sh",
      args: ["-c", script],
      cwd: "/",
      environment: { PATH: process.env.PATH ?? "" },
      onHostExit: "stop",
      secret: "",
      ...spec,
    },
    systemClock,
    (line) => written.push(line),
  );
  lines.set(program, written);
  onTestFinished(() => program.stop(0));
  return program;
}

/** Resolves when the program has written the line. */
const wrote = (program: ProcessProgram, text: string): Promise<void> =>
  expect.poll(() => program.lastLines, { interval: 5 }).toContain(text);

test("exit code and last lines of the program itself are there at once", async () => {
  const startedAt = performance.now();
  const program = await start("echo last words; echo to stderr >&2; exit 7");
  expect(await program.exited).toEqual({ exitCode: 7, signal: undefined });
  await program.read;
  expect(performance.now() - startedAt).toBeLessThan(500);
  expect([...program.lastLines].sort()).toEqual(["last words", "to stderr"]);
});

test("a signal is told by its name", async () => {
  const program = await start("kill -USR1 $$");
  expect(await program.exited).toEqual({ exitCode: undefined, signal: "SIGUSR1" });
});

test("arguments reach the program as they are", async () => {
  const args = ["-c", 'for arg; do echo "<$arg>"; done', "sh", "a b", "$HOME", "'", "*", ""];
  const program = await start("", { args });
  await program.read;
  expect(program.lastLines).toEqual(["<a b>", "<$HOME>", "<'>", "<*>", "<>"]);
});

test("a program that waits for all of its children does not wait for the guard", async () => {
  const script = "import os\ntry:\n  os.wait()\nexcept ChildProcessError:\n  print('no children')";
  const program = await start("", { file: "/usr/bin/env", args: ["python3", "-c", script] });
  expect(await program.exited).toEqual({ exitCode: 0, signal: undefined });
});

test("SIGTERM comes first, and what ends on it is not killed", async () => {
  const program = await start("trap 'echo tidied up; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
  await wrote(program, "ready");
  await program.stop(5_000);
  expect(await program.exited).toEqual({ exitCode: 0, signal: undefined });
  expect(program.lastLines).toContain("tidied up");
});

test("what ignores SIGTERM is killed when the time is over", async () => {
  const program = await start("trap '' TERM; echo ready; while :; do sleep 0.05; done");
  await wrote(program, "ready");
  const startedAt = performance.now();
  await program.stop(200);
  const tookMs = performance.now() - startedAt;
  expect(tookMs).toBeGreaterThanOrEqual(190);
  expect(tookMs).toBeLessThan(1_000);
  expect(await program.exited).toEqual({ exitCode: undefined, signal: "SIGKILL" });
  expect(await groupMembers(program.pid)).toEqual([]);
});

test("the children of a program that has ended get the rest of the time, then they are killed", async () => {
  const program = await start("(trap '' TERM; echo child ready; while :; do sleep 0.05; done) & wait");
  await wrote(program, "child ready");
  const startedAt = performance.now();
  await program.stop(300);
  expect(await program.exited).toEqual({ exitCode: undefined, signal: "SIGTERM" });
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(290);
  expect(await groupMembers(program.pid)).toEqual([]);
});

test("a program on its way out is left alone for half of the time", async () => {
  const program = await start("trap 'echo signalled' TERM; echo ready; sleep 0.3; exit 4");
  await wrote(program, "ready");
  await program.stop(5_000, true);
  expect(await program.exited).toEqual({ exitCode: 4, signal: undefined });
  expect(program.lastLines).not.toContain("signalled");
});

test("stopping twice is the same, and stopping what has ended does nothing", async () => {
  const program = await start("exit 0");
  await program.exited;
  const first = program.stop(1_000);
  expect(program.stop(0)).toBe(first);
  await first;
  expect(await groupMembers(program.pid)).toEqual([]);
});

test("a program that writes without end is read all the time", async () => {
  const program = await start("yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx | head -c 3000000; echo done >&2");
  expect(await program.exited).toEqual({ exitCode: 0, signal: undefined });
  await program.read;
  expect((lines.get(program) ?? []).length).toBeGreaterThan(90_000);
});

test.runIf(process.platform === "linux")("programs that have ended leave no open file behind", async () => {
  const open = (): number => readdirSync("/proc/self/fd").length;
  await (await start("exit 0")).stop(0);
  const before = open();
  for (let round = 0; round < 5; round++) {
    const program = await start("sleep 10");
    await program.stop(0);
    await program.read;
  }
  await expect.poll(open).toBeLessThanOrEqual(before);
});

test("what is to be kept gets no pipe for its output, which would break with the host", async () => {
  const program = await start("[ -c /dev/stdout ] && [ -c /dev/stderr ]", { onHostExit: "keep" });
  expect(await program.exited).toEqual({ exitCode: 0, signal: undefined });
  expect(program.lastLines).toEqual([]);
});
