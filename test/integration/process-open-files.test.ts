import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { type CompiledLibrary, compileLibrary } from "../support/compiled-library.js";
import { hostProgram, membersOf, probe, untilGroupsEnd } from "../support/process-plugins.js";

let library: CompiledLibrary;

beforeAll(() => {
  // The host has to be a process of its own, so it runs what is compiled.
  library = compileLibrary("open-files-tests");
}, 60_000);

/** What a process has open, as the system names it. */
const openFiles = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fd`).map((number) => readlinkSync(`/proc/${pid}/fd/${number}`));

async function untilKilled(groups: readonly number[]): Promise<void> {
  for (const group of groups) {
    try {
      process.kill(-group, "SIGKILL");
    } catch {
      // It has ended with its host.
    }
  }
  await untilGroupsEnd(groups, 2_000);
}

test.each(["stop", "keep"] as const)(
  "neither a program nor its guard has a file that the host got from whoever started it, onHostExit %s",
  async (onHostExit) => {
    const file = import.meta.filename;
    const inherited = openSync(file, "r");
    // Node hides from programs what a host got with low numbers, or with no gap before it.
    const stdio = Array.from({ length: 30 }, (_, number): "ignore" | "pipe" | "inherit" | number => {
      if (number === 1) return "pipe";
      if (number === 2) return "inherit";
      return [9, 20, 29].includes(number) ? inherited : "ignore";
    });
    const plugins = [{ ...probe(), onHostExit }];
    const host = spawn(process.execPath, [hostProgram, library.host, JSON.stringify(plugins)], { stdio });
    closeSync(inherited);
    let pids: readonly number[] = [];
    onTestFinished(async () => {
      host.kill("SIGKILL");
      await untilKilled(pids);
    });
    const lines = createInterface({ input: host.stdout as NodeJS.ReadableStream });
    const [line] = await once(lines, "line");
    ({ pids } = JSON.parse(line));
    expect(openFiles(host.pid as number)).toContain(file);
    const members = await membersOf(pids);
    expect(members).toHaveLength(2);
    for (const member of members) expect(openFiles(member)).not.toContain(file);
  },
);
