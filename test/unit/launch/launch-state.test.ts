import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../src/internal/clock.js";
import { hashOfNonce, LaunchNonces } from "../../../src/launch/launch-nonces.js";
import { type LaunchRecord, sourceHash } from "../../../src/launch/launch-record.js";
import { LaunchState } from "../../../src/launch/launch-state.js";
import { groupMembers } from "../../../src/launch/process-group.js";
import { startOfProcess } from "../../../src/launch/process-identity.js";
import { resolveProcessSource } from "../../../src/launch/process-source.js";

// What another system cannot tell of a process is never guessed: there nothing is killed and nothing taken up.
const onLinux = test.runIf(process.platform === "linux");

const hostUrl = "http://127.0.0.1:4000";
const nonce = "n".repeat(43);
const source = resolveProcessSource({ command: "./plugin", onHostExit: "keep" });

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "launch-state-"));
  onTestFinished(() => rm(made, { recursive: true }));
  return join(made, "state");
}

/** A process that leads a group of its own, as launched programs do. */
async function start(given: Readonly<Record<string, string>>, script = "echo ready; sleep 60"): Promise<ChildProcess> {
  const env = { PATH: process.env.PATH ?? "", ...given };
  const child = spawn("/bin/sh", ["-c", script], { env, detached: true, stdio: ["ignore", "pipe", "ignore"] });
  onTestFinished(() => {
    try {
      process.kill(-(child.pid ?? 0), "SIGKILL");
    } catch {
      // It has ended.
    }
  });
  await once(child.stdout as NonNullable<ChildProcess["stdout"]>, "data");
  return child;
}

const launched = (script?: string) => start({ HOST_URL: `${hostUrl}/_launch/${nonce}`, PORT: "4001" }, script);

const recordOf = (pid: number, more: Partial<LaunchRecord> = {}): LaunchRecord => ({
  launchId: "launch-00112233",
  pid,
  groupId: pid,
  startedAt: startOfProcess(pid) ?? "",
  nonceHash: hashOfNonce(nonce),
  hostUrl,
  port: 4001,
  command: "./plugin",
  sourceHash: sourceHash(source),
  onHostExit: "stop",
  ...more,
});

/** Puts a record there as an earlier host would have left it. */
async function plant(at: string, record: LaunchRecord): Promise<void> {
  await mkdir(at, { recursive: true, mode: 0o700 });
  await writeFile(join(at, `${record.launchId}.json`), JSON.stringify({ version: 1, ...record }));
}

function stateAt(at: string) {
  const warnings: string[] = [];
  const nonces = new LaunchNonces();
  const warn = (message: string): void => void warnings.push(message);
  const state = new LaunchState({ folder: at, clock: systemClock, nonces, warn });
  onTestFinished(() => state.close());
  return { state, nonces, warnings };
}

const isAlive = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;
const recordsIn = async (at: string) => (await readdir(at)).filter((name) => name.startsWith("launch-")).sort();

test("a record is a file that nobody else may read, in a folder that nobody else may enter, without the nonce", async () => {
  const at = await folder();
  const { state, nonces } = stateAt(at);
  await state.open();
  const pass = nonces.issue();
  state.started({ pass, pid: process.pid, port: 4001, source, hostUrl, hasNonce: true });
  const file = join(at, `${pass.launchId}.json`);
  expect((await stat(at)).mode & 0o777).toBe(0o700);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const text = await readFile(file, "utf8");
  expect(text).not.toContain(pass.nonce);
  expect(JSON.parse(text)).toMatchObject({ pid: process.pid, port: 4001, nonceHash: hashOfNonce(pass.nonce) });
  state.ended(pass.launchId);
  expect(await recordsIn(at)).toEqual([]);
});

onLinux("what an earlier host left is killed with all of its group, and its record goes", async () => {
  const at = await folder();
  const left = await launched("trap '' TERM; (trap '' TERM; echo ready; sleep 60) & wait");
  const pid = left.pid ?? 0;
  expect((await groupMembers(pid)).length).toBeGreaterThan(1);
  await plant(at, recordOf(pid));
  const { state, warnings } = stateAt(at);
  await state.open();
  await expect.poll(() => groupMembers(pid)).toEqual([]);
  expect(warnings).toEqual([expect.stringMatching(/\.\/plugin \(processes \d+/)]);
  expect(await recordsIn(at)).toEqual([]);
});

onLinux("what is left of a group is killed although the program itself has ended", async () => {
  const at = await folder();
  const left = await launched("(trap '' HUP; echo ready; exec sleep 60 >/dev/null) & sleep 0.2; exit 0");
  const pid = left.pid ?? 0;
  const record = recordOf(pid);
  await once(left, "exit");
  expect(await groupMembers(pid)).toHaveLength(1);
  await plant(at, record);
  await stateAt(at).state.open();
  expect(await groupMembers(pid)).toEqual([]);
});

onLinux.each([
  { why: "began at another time", env: { HOST_URL: `${hostUrl}/_launch/${nonce}` }, more: { startedAt: "boot/1" } },
  { why: "was started with another nonce", env: { HOST_URL: `${hostUrl}/_launch/${"x".repeat(43)}` }, more: {} },
  { why: "was started by no host", env: {}, more: {} },
  { why: "calls another host", env: { HOST_URL: `http://127.0.0.1:9/_launch/${nonce}` }, more: {} },
  { why: "is kept by its record, and not marked", env: {}, more: { onHostExit: "keep" as const } },
])("a process that has the id of a record and $why is not touched", async ({ env, more }) => {
  const at = await folder();
  const innocent = await start(env);
  await plant(at, recordOf(innocent.pid ?? 0, more));
  const { state } = stateAt(at);
  await state.open();
  expect(await state.takeUp(source, hostUrl)).toBeUndefined();
  expect(await state.sweepKept(0)).toEqual([]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(isAlive(innocent)).toBe(true);
});

onLinux("a process that has joined the group of a record without its mark lives on", async () => {
  const at = await folder();
  const group = await start({}, "sh -c 'echo ready; sleep 60' & wait");
  const record = recordOf(group.pid ?? 0, { startedAt: "boot/1" });
  await plant(at, record);
  await stateAt(at).state.open();
  expect((await groupMembers(record.groupId)).length).toBeGreaterThan(1);
});

onLinux("a kept program is taken up once, by the source that started it, and its nonce is good again", async () => {
  const at = await folder();
  const kept = await launched();
  const record = recordOf(kept.pid ?? 0, { onHostExit: "keep" });
  await plant(at, record);
  const { state, nonces } = stateAt(at);
  await state.open();
  expect(nonces.launchOf(nonce)).toBe(record.launchId);
  const other = resolveProcessSource({ ...source, args: ["--other"] });
  expect(await state.takeUp(other, hostUrl)).toBeUndefined();
  const taken = await state.takeUp(source, hostUrl);
  expect(taken).toMatchObject({ port: 4001, program: { pid: kept.pid } });
  expect(await state.takeUp(source, hostUrl)).toBeUndefined();
  const ended = once(kept, "exit");
  await taken?.program.stop(2_000);
  expect(await ended).toEqual([null, "SIGTERM"]);
  expect(await taken?.program.exited).toEqual({ exitCode: undefined, signal: undefined });
});

onLinux("the end of a kept program is seen although it is no child of the host", async () => {
  const at = await folder();
  const kept = await launched("(echo ready; sleep 60) & wait");
  const pid = kept.pid ?? 0;
  await plant(at, recordOf(pid, { onHostExit: "keep" }));
  const { state } = stateAt(at);
  await state.open();
  const taken = await state.takeUp(source, hostUrl);
  kept.kill("SIGKILL");
  expect(await taken?.program.exited).toEqual({ exitCode: undefined, signal: undefined });
  await expect.poll(() => groupMembers(pid)).toEqual([]);
});

onLinux("a kept program that looks for its host elsewhere is killed, as it would never find it", async () => {
  const at = await folder();
  const kept = await launched();
  await plant(at, recordOf(kept.pid ?? 0, { onHostExit: "keep" }));
  const { state, warnings } = stateAt(at);
  await state.open();
  expect(await state.takeUp(source, "http://127.0.0.1:5000")).toBeUndefined();
  await expect.poll(() => kept.signalCode).toBe("SIGKILL");
  expect(warnings.join()).toContain("http://127.0.0.1:5000");
});

onLinux("kept programs that nobody takes up are stopped when that is asked for", async () => {
  const at = await folder();
  const kept = await launched();
  await plant(at, recordOf(kept.pid ?? 0, { onHostExit: "keep" }));
  const { state } = stateAt(at);
  await state.open();
  expect(await state.sweepKept(2_000)).toEqual([{ pid: kept.pid, command: "./plugin" }]);
  expect(kept.signalCode).toBe("SIGTERM");
  expect(await recordsIn(at)).toEqual([]);
});

test.each([
  { why: "no JSON", text: "{" },
  { why: "empty", text: "" },
  { why: "of another version", text: JSON.stringify({ version: 2, ...recordOf(4_000_000) }) },
  { why: "for every process", text: JSON.stringify({ version: 1, ...recordOf(4_000_000), pid: -1, groupId: -1 }) },
  { why: "for the first process", text: JSON.stringify({ version: 1, ...recordOf(4_000_000), pid: 1, groupId: 1 }) },
  { why: "of another launch", text: JSON.stringify({ version: 1, ...recordOf(4_000_000), launchId: "launch-99" }) },
])("a record that is $why is told and set aside, and the host starts", async ({ text }) => {
  const at = await folder();
  await mkdir(at, { mode: 0o700 });
  await writeFile(join(at, "launch-00112233.json"), text);
  const { state, warnings } = stateAt(at);
  await state.open();
  expect(warnings).toEqual([expect.stringContaining("launch-00112233.json.corrupt")]);
  expect(await recordsIn(at)).toEqual(["launch-00112233.json.corrupt"]);
});

test("a second host does not get the folder while the first has it, and gets it afterwards", async () => {
  const at = await folder();
  const first = stateAt(at).state;
  await first.open();
  const second = stateAt(at).state;
  await expect(second.open()).rejects.toMatchObject({
    code: "STATE_DIR_IN_USE",
    details: { pid: process.pid, stateDir: at },
  });
  first.close();
  await second.open();
  await expect(stateAt(at).state.open()).rejects.toMatchObject({ code: "STATE_DIR_IN_USE" });
});

test("a host that could not read the folder can try again when it is in order", async () => {
  const at = await folder();
  await mkdir(join(at, "launch-00112233.json.new"), { recursive: true, mode: 0o700 });
  await chmod(at, 0o700);
  const { state } = stateAt(at);
  await expect(state.open()).rejects.toMatchObject({ code: "ERR_FS_EISDIR" });
  await rm(join(at, "launch-00112233.json.new"), { recursive: true });
  await state.open();
  state.close();
});

onLinux("a folder whose host was killed, or whose lock is garbage, is free", async () => {
  const at = await folder();
  await mkdir(at, { mode: 0o700 });
  const dead = { pid: process.pid, startedAt: "boot/1", released: false };
  await writeFile(join(at, "host-7.lock"), JSON.stringify(dead));
  const { state } = stateAt(at);
  await state.open();
  expect((await readdir(at)).filter((name) => name.startsWith("host-"))).toEqual(["host-8.lock"]);
  state.close();
  await writeFile(join(at, "host-9.lock"), "garbage");
  await stateAt(at).state.open();
});

test("a folder that others may enter is refused", async () => {
  const at = await folder();
  await mkdir(at);
  await chmod(at, 0o755);
  await expect(stateAt(at).state.open()).rejects.toMatchObject({ code: "INVALID_ARGUMENT", field: "stateDir" });
});
