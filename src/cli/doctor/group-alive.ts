import { readdir, readFile } from "node:fs/promises";

/** Whether a process of the group is alive. A zombie is dead: it only waits for somebody to ask how it ended. */
export async function isGroupAlive(groupId: number): Promise<boolean> {
  if (process.platform !== "linux") return takesSignals(groupId);
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const members = await Promise.all(pids.map((pid) => isAliveIn(pid, groupId)));
  return members.includes(true);
}

async function isAliveIn(pid: string, groupId: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "");
  // The second field is the program's name in brackets, which may contain anything.
  const [state = "X", , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(group) === groupId && !"ZXx".includes(state);
}

function takesSignals(groupId: number): boolean {
  try {
    return process.kill(-groupId, 0);
  } catch {
    return false;
  }
}
