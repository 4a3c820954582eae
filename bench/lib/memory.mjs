// Memory of a program: as the kernel counts it from outside, and after a collection of garbage that the program is asked for.
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Resident memory of a process now, and the most since it began or since `resetPeak`, in KiB. */
export function residentKiB(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)[1]);
  return { now: field("VmRSS"), peak: field("VmHWM") };
}

/** Lets the peak of a process begin again at what it uses now. */
export const resetPeak = (pid) => writeFileSync(`/proc/${pid}/clear_refs`, "5");

/** Files that a process of ours may open; Node raises its own soft limit to the hard one. */
export function openFilesLimit() {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))[1];
  return hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard);
}

/**
 * For programs that are measured: opens a port where `collectedMemory` asks.
 *
 * @returns its URL
 */
export async function serveMemory() {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc");
  const server = http.createServer((_req, res) => {
    // What the first pass finalizes is free only after the second.
    gc();
    setImmediate(() => {
      gc();
      res.end(JSON.stringify(process.memoryUsage()));
    });
  });
  server.unref();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${server.address().port}`;
}

/** `process.memoryUsage()` of a program with `serveMemory`, after its garbage is collected. */
export const collectedMemory = async (url) => (await fetch(url)).json();
