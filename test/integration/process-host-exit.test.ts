import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import type { ProcessSource } from "../../src/index.js";
import { type CompiledLibrary, compileLibrary } from "../support/compiled-library.js";
import { hostProgram, membersOf, probe, scriptedProbe, untilGroupsEnd } from "../support/process-plugins.js";

const root = join(import.meta.dirname, "../..");
const goPlugin = join(process.env.TOOL_CACHE ?? join(root, ".cache"), "polyglot/bin/library-plugin");

let library: CompiledLibrary;

beforeAll(() => {
  // The host has to be a process of its own, so it runs what is compiled.
  library = compileLibrary("process-tests");
}, 60_000);

interface RunningHost {
  readonly child: ChildProcess;
  /** Process groups of its plugins. */
  readonly groups: readonly number[];
}

async function startHost(plugins: readonly ProcessSource[]): Promise<RunningHost> {
  const args = [hostProgram, library.host, JSON.stringify(plugins)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stdout })) return { child, groups: JSON.parse(line).pids };
  throw new Error("the host ended before its plugins ran");
}

const named = (SELF_ID: string): Readonly<Record<string, string>> => ({ SELF_ID, PROVIDES: SELF_ID });

test("when the host is killed with SIGKILL, no process of any plugin's group is alive 2 s later", async () => {
  const go: ProcessSource = { command: goPlugin, env: named("in-go") };
  const { child, groups } = await startHost([
    probe(["--grandchild"], named("with-grandchild")),
    probe(["--ignore-term"], named("deaf")),
    probe(["--ignore-term", "--ignore-shutdown", "--grandchild"], named("deaf-with-grandchild")),
    scriptedProbe(named("script")),
    ...Array.from({ length: 5 }, (_, index) => probe(["--register"], named(`plain-${index}`))),
    // Compiled by the polyglot tests, which need Go.
    existsSync(goPlugin) ? go : probe([], named("plain-5")),
  ]);
  expect(groups).toHaveLength(10);
  // Each with its guard, two with a grandchild, one script with the program that it runs.
  expect((await membersOf(groups)).length).toBe(10 * 2 + 3);
  child.kill("SIGKILL");
  await once(child, "exit");
  await untilGroupsEnd(groups, 2_000);
});

test("a program that is to be kept outlives its host; its guard does not", async () => {
  const { child, groups } = await startHost([{ ...probe(["--grandchild"]), onHostExit: "keep" }]);
  const [group = 0] = groups;
  onTestFinished(() => {
    process.kill(-group, "SIGKILL");
  });
  expect(await membersOf(groups)).toHaveLength(3);
  child.kill("SIGKILL");
  await once(child, "exit");
  await expect.poll(() => membersOf(groups).then(({ length }) => length), { timeout: 2_000 }).toBe(2);
  process.kill(group, 0);
});
