// The load generators: wrk for HTTP/1.1, h2load for HTTP/2.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cores, cpuMs, runPinned } from "./processes.mjs";

const text = (value) => JSON.stringify(value);

/** Requests per second over HTTP/1.1 with `connections` connections. Rejects if any answer was not a 2xx. */
export async function wrk({ url, headers, body, seconds, connections = 32 }) {
  const script = join(mkdtempSync(join(tmpdir(), "bench-wrk-")), "post.lua");
  const lines = Object.entries(headers).map(([name, value]) => `wrk.headers[${text(name)}]=${text(value)}`);
  writeFileSync(script, [`wrk.method="POST"; wrk.body=${text(body)}`, ...lines].join("\n"));
  const output = await runPinned(cores.load, "wrk", ["-t1", `-c${connections}`, `-d${seconds}s`, "-s", script, url]);
  if (/Non-2xx|Socket errors/.test(output)) throw new Error(`wrk saw failures:\n${output}`);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(output)[1]);
}

/** Requests per second over HTTP/2. Rejects if any answer was not a 2xx. */
export async function h2load({ url, headers, bodyFile, seconds, connections = 4, streams = 8 }) {
  const fields = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const output = await runPinned(cores.load, "h2load", [
    `-c${connections}`,
    `-m${streams}`,
    `-D${seconds}`,
    "--warm-up-time=1",
    "-d",
    bodyFile,
    ...fields,
    url,
  ]);
  const [, failed, errored] = /(\d+) failed, (\d+) errored/.exec(output);
  const codes = /status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx/.exec(output);
  if (failed !== "0" || errored !== "0" || codes[1] === "0" || codes[3] !== "0" || codes[4] !== "0") {
    throw new Error(`h2load saw failures:\n${output}`);
  }
  return Number(/finished in [^,]+, ([\d.]+) req\/s/.exec(output)[1]);
}

/**
 * Runs a load and also tells what it costs the program that takes it: on a machine that others use at the same time the
 * processor time of a request says more than the rate.
 *
 * @param costs gets the microseconds of each run, by name
 */
export const withCosts = (costs, name, pid, seconds, load) => async () => {
  const before = cpuMs(pid);
  const rate = await load();
  costs[name] = [...(costs[name] ?? []), ((cpuMs(pid) - before) * 1_000) / (rate * seconds)];
  return rate;
};
