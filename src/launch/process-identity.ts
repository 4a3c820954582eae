import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";

const bootIdFile = "/proc/sys/kernel/random/boot_id";

/**
 * When a process began, as a text that no other process with its id ever has: the boot of the system, and the clock tick
 * in it. Undefined if there is no such process, if it is dead and only waits to be asked how it ended, and on systems without
 * `/proc`.
 *
 * Synchronous: between a start and its record, and between a look and a signal, nothing else may come.
 */
export function startOfProcess(pid: number): string | undefined {
  try {
    return startIn(readFileSync(`/proc/${pid}/stat`, "latin1"), readFileSync(bootIdFile, "latin1"));
  } catch {
    return undefined;
  }
}

/** Whether there is a process with this id, whoever's and however dead. */
export function hasProcess(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function startIn(stat: string, bootId: string): string | undefined {
  // The second field is the program's name in brackets, which may contain anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state = "X"] = fields;
  const ticks = fields[19];
  return "ZXx".includes(state) || ticks === undefined ? undefined : `${bootId.trim()}/${ticks}`;
}

/** A variable of the environment that a process was started with; undefined if it had none, or may not be looked into. */
export async function variableOf(pid: number, name: string): Promise<string | undefined> {
  const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
  const begin = `${name}=`;
  return environment
    .split("\0")
    .find((entry) => entry.startsWith(begin))
    ?.slice(begin.length);
}
