// A provider is replaced under 2,000 requests/s and 50 open streams; the new process is up already. Nothing may fail.
import assert from "node:assert/strict";
import http from "node:http";
import { cores, moveTo, Programs } from "../lib/processes.mjs";
import { alternate, percentile } from "../lib/statistics.mjs";

export const title = "replace under 2,000 requests/s and 50 open streams";
export const tools = [];

const perSecond = 2_000;
const streams = 50;
const beforeMs = 1_500;
const afterMs = 1_500;

const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });

function call(url, headers, body) {
  const begin = performance.now();
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: "POST", headers, agent });
    request.once("error", reject);
    request.once("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (more) => (text += more));
      response.once("error", reject);
      response.once("end", () =>
        resolve({
          status: response.statusCode,
          text,
          version: response.headers["x-version"],
          ms: performance.now() - begin,
        }),
      );
    });
    request.end(body);
  });
}

async function once() {
  const programs = new Programs();
  const letGo = moveTo(cores.load);
  try {
    const [before, after] = [
      await programs.node(cores.load, "replaced-provider", { version: "1.0.0" }),
      await programs.node(cores.load, "replaced-provider", { version: "1.1.0" }),
    ];
    const host = await programs.node(cores.measured, "replace-host", { ports: [before.port, after.port] });
    const base = `${host.url}/services/echo/any`;
    const { headers } = host.caller;
    const warmed = performance.now() + 1_000;
    while (performance.now() < warmed)
      await Promise.all(Array.from({ length: 16 }, () => call(`${base}/say`, headers, "x")));
    const open = Array.from({ length: streams }, () => call(`${base}/stream`, headers, ""));
    const results = [];
    const pending = [];
    const begin = performance.now();
    let replaced;
    let sent = 0;
    let failed = 0;
    for (;;) {
      const elapsed = performance.now() - begin;
      if (elapsed > beforeMs && replaced === undefined) replaced = call(host.controlUrl, {}, "");
      if (elapsed > beforeMs + afterMs) break;
      for (; sent < (elapsed / 1_000) * perSecond; sent++) {
        const at = elapsed;
        const text = `call ${sent}`;
        pending.push(
          call(`${base}/say`, headers, text).then(
            (result) => {
              if (result.status !== 200 || result.text !== text) failed += 1;
              results.push({ at, ...result });
            },
            () => {
              failed += 1;
            },
          ),
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(pending);
    assert.equal((await replaced).status, 200);
    assert.equal(results.at(-1).version, "1.1.0");
    for (const stream of await Promise.all(open)) if (stream.text.split("\n").length !== 31) failed += 1;
    const ms = (test) =>
      percentile(
        results.filter(test).map((result) => result.ms),
        0.99,
      );
    return { failed, before: ms(({ at }) => at < beforeMs), after: ms(({ at }) => at >= beforeMs) };
  } finally {
    letGo();
    await programs.stop();
  }
}

export async function run({ rounds }) {
  let last;
  const values = await alternate(rounds, {
    failed: async () => {
      last = await once();
      return last.failed;
    },
    "p99 before, ms": () => last.before,
    "p99 from the switch on, ms": () => last.after,
  });
  agent.destroy();
  return {
    unit: "",
    values,
    ratios: [
      { name: "failed", ratio: Math.max(...values.failed.values), atMost: 0 },
      {
        name: "p99 after / before",
        ratio: values["p99 from the switch on, ms"].median / values["p99 before, ms"].median,
        atMost: 3,
      },
    ],
  };
}
