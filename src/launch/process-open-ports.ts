import { readdir, readFile, readlink } from "node:fs/promises";
import { groupMembers } from "./process-group.js";

const listening = "0A";

/** Where the processes of a group listen, such as `127.0.0.1:3000` or `[::]:3000`; empty where the system does not tell. */
export async function openPortsOf(groupId: number): Promise<string[]> {
  if (process.platform !== "linux") return [];
  const members = await groupMembers(groupId);
  const own = new Set((await Promise.all(members.map(socketsOf))).flat());
  const tables = await Promise.all(
    ["tcp", "tcp6"].map((name) => readFile(`/proc/net/${name}`, "latin1").catch(() => "")),
  );
  const found = tables.flatMap((table) => table.split("\n").flatMap((line) => placeIn(line, own)));
  return [...new Set(found)];
}

async function socketsOf(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const descriptors = await readdir(folder).catch(() => []);
  const targets = await Promise.all(descriptors.map((fd) => readlink(`${folder}/${fd}`).catch(() => "")));
  return targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []);
}

function placeIn(line: string, own: ReadonlySet<string>): string[] {
  const fields = line.trim().split(/\s+/);
  const [address = "", port = ""] = (fields[1] ?? "").split(":");
  if (fields[3] !== listening || !own.has(fields[9] ?? "")) return [];
  return [`${addressText(address)}:${Number.parseInt(port, 16)}`];
}

/** An address as the tables of /proc/net write it: words of 32 bits, in the machine's own order of bytes. */
function addressText(hex: string): string {
  if (/^0+$/.test(hex)) return hex.length === 8 ? "0.0.0.0" : "[::]";
  const bytes = Buffer.from(hex, "hex");
  if (isLittleEndian) bytes.swap32();
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  // What is not loopback in short is rare, and all of it says the same.
  const text = groups.join(":");
  return `[${text === "0:0:0:0:0:0:0:1" ? "::1" : text}]`;
}

const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
