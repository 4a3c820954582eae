import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { Platform, type PlatformOptions, type ProcessSource } from "../../src/index.js";
import { type CompiledLibrary, compileLibrary } from "../support/compiled-library.js";
import {
  callProbe,
  killHost,
  membersOf,
  probe,
  type SdkProbed,
  sdkProgram,
  startHostProcess,
  untilGroupsEnd,
} from "../support/process-plugins.js";

let library: CompiledLibrary;

beforeAll(() => {
  library = compileLibrary("process-kept");
}, 60_000);

async function stateFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "kept-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, "state");
}

/** The host that comes back: in this process, at the same URL. */
async function comeBack(url: string, options: PlatformOptions): Promise<{ platform: Platform; warnings: string[] }> {
  const platform = new Platform({ ...options, ingress: [{ prefix: "/", type: "sdk", access: "open" }] });
  onTestFinished(() => platform.stop());
  const warnings: string[] = [];
  platform.on("warning", ({ message }) => warnings.push(message));
  await platform.listen({ port: Number(new URL(url).port) });
  return { platform, warnings };
}

const keep = (source: ProcessSource): ProcessSource => ({ ...source, onHostExit: "keep" });
const records = async (stateDir: string) => (await readdir(stateDir)).filter((name) => name.startsWith("launch-"));

const ask = async (platform: Platform): Promise<SdkProbed> => {
  const answer = await fetch(`${platform.url}/`);
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as SdkProbed;
};

/** Reads what a process was started with; it is this user's own. */
const startedAtOf = async (pid: number): Promise<string> => {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1");
  const boot = (await readFile("/proc/sys/kernel/random/boot_id", "latin1")).trim();
  return `${boot}/${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
};

test.each([
  { what: "without a port", options: {} },
  { what: "with a port", options: { listen: "always" } },
  // Here every call carries the host's secret, which the host that comes back has to know.
  { what: "with a port and without a link", options: { link: "off" } },
])("programs of the SDK $what serve on under the host that comes back, in the same processes", async ({ options }) => {
  const stateDir = await stateFolder();
  const spec = keep(sdkProgram(library, options));
  const first = await startHostProcess(library, [spec], { stateDir });
  const [pid] = first.pids;
  await killHost(first);
  const { platform } = await comeBack(first.url, { stateDir });
  const plugin = await platform.addPlugin(spec);
  expect(plugin).toMatchObject({ pid, health: "healthy", origin: "process" });
  expect(plugin.runtimeId).not.toBe(first.ids[0]);
  expect(await ask(platform)).toMatchObject({ pid, runtimeId: plugin.runtimeId });
  if (plugin.endpointUrl !== undefined) {
    expect((await fetch(`${plugin.endpointUrl}/test.v1.Probe/`)).status).toBe(403);
  }
  expect(platform.plugins()).toHaveLength(1);
  // It is the host's now: removing it ends it, with SIGTERM or by asking, and its record goes.
  await platform.removePlugin(plugin.runtimeId);
  expect(await membersOf([pid ?? 0])).toEqual([]);
  expect(await records(stateDir)).toEqual([]);
});

test("a plugin without any SDK is taken up as well, and gets an identity of the new host", async () => {
  const stateDir = await stateFolder();
  const spec = keep(probe(["--grandchild", "--ignore-term", "--ignore-shutdown"]));
  const first = await startHostProcess(library, [spec], { stateDir });
  const [pid] = first.pids;
  await killHost(first);
  const { platform } = await comeBack(first.url, { stateDir, limits: { shutdownMs: 400 } });
  const plugin = await platform.addPlugin(spec);
  expect(plugin.pid).toBe(pid);
  const { identities } = await callProbe(plugin.endpointUrl);
  expect(identities).toEqual([first.ids[0], plugin.runtimeId]);
  // Its nonce is good again: what it does by itself is done as this launch.
  const { handshakes } = await callProbe(plugin.endpointUrl, "ShakeHands");
  expect(handshakes).toEqual([plugin.runtimeId]);
  await platform.removePlugin(plugin.runtimeId);
  expect(await membersOf([pid ?? 0])).toEqual([]);
});

test("replacing a program that was taken up starts the new one and ends the old one", async () => {
  const stateDir = await stateFolder();
  const spec = keep(probe());
  const first = await startHostProcess(library, [spec], { stateDir });
  await killHost(first);
  const { platform } = await comeBack(first.url, { stateDir });
  const plugin = await platform.addPlugin(spec);
  const next = await platform.replacePlugin(plugin.runtimeId, spec);
  expect(next.pid).not.toBe(plugin.pid);
  expect(await membersOf([plugin.pid ?? 0])).toEqual([]);
  expect(await records(stateDir)).toHaveLength(1);
});

test("the end of a program that was taken up is seen", async () => {
  const stateDir = await stateFolder();
  const spec = keep(probe());
  const first = await startHostProcess(library, [spec], { stateDir });
  await killHost(first);
  const { platform } = await comeBack(first.url, { stateDir });
  const plugin = await platform.addPlugin(spec);
  const ended = new Promise<string>((resolve) => {
    platform.on("health", ({ health }) => resolve(`${health.state}: ${health.reason}`));
  });
  process.kill(plugin.pid ?? 0, "SIGKILL");
  expect(await ended).toContain("unhealthy: its process has ended");
});

test("a program that was not to be kept, and whose guard was killed before its host, is swept", async () => {
  const stateDir = await stateFolder();
  const first = await startHostProcess(library, [probe(["--grandchild", "--ignore-term"])], { stateDir });
  const [pid = 0] = first.pids;
  const members = await membersOf([pid]);
  // The program, its child, and the guard, which is the only shell.
  const guards = await Promise.all(
    members.map(async (member) => (await readFile(`/proc/${member}/cmdline`, "latin1")).includes("plugin-guard")),
  );
  for (const [index, member] of members.entries()) if (guards[index]) process.kill(member, "SIGKILL");
  await killHost(first);
  expect(await membersOf([pid])).toHaveLength(2);
  const { warnings } = await comeBack(first.url, { stateDir });
  await untilGroupsEnd([pid], 2_000);
  expect(warnings).toEqual([expect.stringContaining("was killed: an earlier host left it")]);
  expect(await records(stateDir)).toEqual([]);
});

test("kept programs that nobody takes up are stopped by sweepKept, those that were taken up are not", async () => {
  const stateDir = await stateFolder();
  const [one, other] = [keep(probe([], { SELF_ID: "one" })), keep(probe([], { SELF_ID: "other" }))];
  const first = await startHostProcess(library, [one, other], { stateDir });
  await killHost(first);
  const { platform } = await comeBack(first.url, { stateDir });
  const plugin = await platform.addPlugin(one);
  expect(await platform.sweepKept()).toEqual([{ pid: first.pids[1], command: process.execPath }]);
  await untilGroupsEnd([first.pids[1] ?? 0], 2_000);
  expect((await callProbe(plugin.endpointUrl)).environment.SELF_ID).toBe("one");
});

/** A process that nobody asked this host about. */
function bystander(env: Readonly<Record<string, string>> = {}): ChildProcess {
  const child = spawn("sleep", ["60"], {
    detached: true,
    stdio: "ignore",
    env: { PATH: process.env.PATH ?? "", ...env },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

test("whoever has the id of a program that is gone is not signalled, by the start, by an addition or by the stop", async () => {
  const stateDir = await stateFolder();
  const [stopped, kept] = [probe([], { SELF_ID: "stopped" }), keep(probe([], { SELF_ID: "kept" }))];
  const first = await startHostProcess(library, [stopped, kept], { stateDir });
  await killHost(first);
  process.kill(-(first.pids[1] ?? 0), "SIGKILL");
  await untilGroupsEnd(first.pids, 2_000);
  // The ids are in use again, one by a process that began at the recorded time, as far as anybody could tell by that.
  const others = [bystander(), bystander()];
  for (const [index, name] of (await records(stateDir)).entries()) {
    const file = join(stateDir, name);
    const record = JSON.parse(await readFile(file, "utf8"));
    const pid = others[index]?.pid ?? 0;
    const startedAt = index === 0 ? record.startedAt : await startedAtOf(pid);
    await writeFile(file, JSON.stringify({ ...record, pid, groupId: pid, startedAt }));
  }
  const { platform } = await comeBack(first.url, { stateDir });
  const plugin = await platform.addPlugin(kept);
  expect(first.pids).not.toContain(plugin.pid);
  expect(others.map(({ pid }) => pid)).not.toContain(plugin.pid);
  await platform.sweepKept();
  await platform.stop();
  expect(others.map(({ exitCode, signalCode }) => [exitCode, signalCode])).toEqual([
    [null, null],
    [null, null],
  ]);
});

test("two hosts do not share a folder", async () => {
  const stateDir = await stateFolder();
  const first = await startHostProcess(library, [], { stateDir });
  const second = new Platform({ stateDir });
  onTestFinished(() => second.stop());
  await expect(second.listen({ port: 0 })).rejects.toMatchObject({
    code: "STATE_DIR_IN_USE",
    details: { pid: first.child.pid },
  });
  await killHost(first);
  await second.listen({ port: 0 });
});
