import { readdir, readFile, readlink } from "node:fs/promises";
import { groupMembers } from "./process-group.js";

/** Who listens on a port of this machine. `unknown` where the system does not tell. */
export type Listener = "nobody" | "group" | "other" | "unknown";

/** The addresses over which a connection to 127.0.0.1 can come in, as the tables of /proc/net write them. */
const reachable = new Set([
  "0100007F",
  "7F000001", // on a big-endian machine
  "00000000",
  "00000000000000000000000000000000",
  "0000000000000000FFFF00000100007F",
]);

const listening = "0A";

/**
 * Finds out whether it is a process of this group that listens on a port, or a descendant that left the group: whoever has
 * the launch's secret in its environment was started by it; an empty secret is nobody's. Linux only.
 */
export async function listenerOf(port: number, groupId: number, secret: string): Promise<Listener> {
  if (process.platform !== "linux") return "unknown";
  const tables = await Promise.all(["tcp", "tcp6"].map((name) => readTable(`/proc/net/${name}`)));
  if (tables[0] === undefined) return "unknown";
  const inodes = new Set(tables.flatMap((table) => (table === undefined ? [] : inodesOf(table, port))));
  if (inodes.size === 0) return "nobody";
  const isHidden = await removeHeld(inodes, await groupMembers(groupId));
  if (inodes.size > 0 && secret !== "") await removeHeld(inodes, await processesWith(secret));
  if (inodes.size === 0) return "group";
  return isHidden ? "unknown" : "other";
}

const readTable = (path: string): Promise<string | undefined> => readFile(path, "latin1").catch(() => undefined);

/** Inodes of the sockets that listen on the port. */
function inodesOf(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  return table.split("\n").flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [address, localPort] = (fields[1] ?? "").split(":");
    const inode = fields[9];
    const matches = localPort === wanted && fields[3] === listening && reachable.has(address ?? "");
    return matches && inode !== undefined ? [inode] : [];
  });
}

/** Takes away the sockets that the processes have open. Resolves with whether one of them may not be looked into. */
async function removeHeld(inodes: Set<string>, pids: readonly number[]): Promise<boolean> {
  let isHidden = false;
  for (const pid of pids) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch((error: NodeJS.ErrnoException) => {
      // Of another user, or hardened against being looked into. One that has just ended is no loss.
      if (error.code === "EACCES" || error.code === "EPERM") isHidden = true;
      return [];
    });
    const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")));
    for (const target of targets) {
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode !== undefined) inodes.delete(inode);
    }
  }
  return isHidden;
}

async function processesWith(secret: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => (await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "")).includes(secret)),
  );
  return pids.filter((_, index) => found[index]).map(Number);
}
