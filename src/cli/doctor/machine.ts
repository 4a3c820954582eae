import { access, readFile } from "node:fs/promises";
import type { Finding } from "./doctor-report.js";

const fewFiles = 1_024;
const oldestNode = [20, 19] as const;

/** What the machine gives to hosts and plugins. */
export async function lookAtMachine(): Promise<Finding> {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const files = await openFilesLimit();
  const seen = [
    `Node ${process.versions.node}`,
    `${process.platform} ${process.arch}`,
    ...(files === undefined ? [] : [`${files === Number.POSITIVE_INFINITY ? "any number of" : files} open files`]),
  ].join(", ");
  if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
    return { status: "fail", seen, hint: `Install Node ${oldestNode.join(".")} or newer.` };
  }
  if (
    process.platform === "linux" &&
    !(await access("/proc/net/tcp").then(
      () => true,
      () => false,
    ))
  ) {
    return {
      status: "warn",
      seen: `${seen}, and /proc cannot be read`,
      hint: "Mount /proc: the host tells by it whether a port is the plugin's own, and which processes are left.",
    };
  }
  if (files !== undefined && files < fewFiles) {
    return {
      status: "warn",
      seen,
      hint: `Raise the limit (ulimit -n ${fewFiles} or more): every connection takes one.`,
    };
  }
  return { status: "ok", seen };
}

async function openFilesLimit(): Promise<number | undefined> {
  const text = await readFile("/proc/self/limits", "latin1").catch(() => "");
  const soft = /^Max open files\s+(\S+)/m.exec(text)?.[1];
  return soft === undefined ? undefined : soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}
