import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";

/** Ids of the processes of a group that are alive. A zombie is dead: it only waits for somebody to ask how it ended. */
export function groupMembers(groupId: number): Promise<number[]> {
  return process.platform === "linux" ? membersFromProc(groupId) : membersFromPs(groupId);
}

async function membersFromProc(groupId: number): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map((pid) => isMember(pid, groupId)));
  return pids.filter((_, index) => found[index]).map(Number);
}

async function isMember(pid: string, groupId: number): Promise<boolean> {
  // It may end while we look.
  const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "");
  // The second field is the program's name in brackets, which may contain anything.
  const [state = "X", , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(group) === groupId && !"ZXx".includes(state);
}

function membersFromPs(groupId: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    execFile("ps", ["-A", "-o", "pid=,pgid=,stat="], { maxBuffer: 2 ** 24 }, (error, stdout) => {
      if (error !== null) return reject(error);
      const rows = stdout.split("\n").map((line) => line.trim().split(/\s+/));
      const own = rows.filter(([, group, state = "Z"]) => Number(group) === groupId && !state.startsWith("Z"));
      resolve(own.map(([pid]) => Number(pid)));
    });
  });
}
