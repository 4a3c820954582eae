// The figures that the registry of one of the sources gives for itself: publish < 10 ms, discover < 1 ms, < 10 MB for 1,000
// modules, start < 100 ms. Here over HTTP/1.1 and JSON, one call at a time, from another process; they are no ratios against peers.
import assert from "node:assert/strict";
import http from "node:http";
import { join } from "../lib/identity.mjs";
import { collectedMemory } from "../lib/memory.mjs";
import { cores, Programs } from "../lib/processes.mjs";
import { alternate, median, percentile } from "../lib/statistics.mjs";

export const title = "a registry of 1,000 modules, against a source's own figures";
export const tools = [];

const modules = 1_000;
const warmUps = 200;
const limits = { publishMs: 10, discoverMs: 1, megabytes: 10, startMs: 100 };

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function post(url, message, headers) {
  const fields = { "content-type": "application/json", ...headers };
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: "POST", headers: fields, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (more) => (text += more));
      response.once("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${url} answered with ${response.statusCode}: ${text}`));
      });
    });
    request.once("error", reject);
    request.end(JSON.stringify(message));
  });
}

async function timed(times, work) {
  const begin = performance.now();
  const result = await work();
  times.push(performance.now() - begin);
  return result;
}

async function once() {
  const programs = new Programs();
  try {
    const begin = performance.now();
    const { url, listenMs, memoryUrl } = await programs.node(cores.measured, "registry");
    const startMs = performance.now() - begin;
    const registry = `${url}/connectplugin.v1.ServiceRegistry`;
    const publish = [];
    const headers = [];
    const publishOne = async (index) => {
      const caller = await join(url, `module-${index}`);
      headers.push(caller.headers);
      const message = { serviceType: `type-${index}`, version: "1.0.0", endpointPath: "/", metadata: {} };
      await timed(publish, () => post(`${registry}/RegisterService`, message, caller.headers));
    };
    const find = async (times, type, caller) => {
      const message = { serviceType: `type-${type}` };
      const answer = await timed(times, () => post(`${registry}/DiscoverService`, message, headers[caller]));
      assert.equal(answer.endpoint.endpointUrl.startsWith(`/services/type-${type}/module-${type}-`), true);
    };
    // Code that runs for the first time is loaded and compiled, and that is not what a module takes.
    for (let index = 0; index < warmUps; index++) await publishOne(index);
    for (let index = 1; index < warmUps; index++) await find([], index, index - 1);
    publish.length = 0;
    const before = await collectedMemory(memoryUrl);
    for (let index = warmUps; index < warmUps + modules; index++) await publishOne(index);
    const after = await collectedMemory(memoryUrl);
    const discover = [];
    for (let index = warmUps; index < warmUps + modules; index++) await find(discover, index, index - 1);
    const discoverByOne = [];
    for (let index = 0; index < modules; index++) await find(discoverByOne, index, modules);
    return {
      publish: median(publish),
      publishP99: percentile(publish, 0.99),
      discover: median(discover),
      discoverP99: percentile(discover, 0.99),
      // What a plugin looks up counts as a dependency of it.
      discoverByOne: median(discoverByOne.slice(-100)),
      heap: (after.heapUsed - before.heapUsed) / 1e6,
      resident: (after.rss - before.rss) / 1e6,
      startMs,
      listenMs,
    };
  } finally {
    await programs.stop();
  }
}

export async function run({ rounds }) {
  let last;
  const of = (name) => () => last[name];
  const values = await alternate(rounds, {
    "publish, ms": async () => {
      last = await once();
      return last.publish;
    },
    "publish, p99, ms": of("publishP99"),
    "discover, ms": of("discover"),
    "discover, p99, ms": of("discoverP99"),
    "discover by one module of 1,000 types, the last, ms": of("discoverByOne"),
    "1,000 modules, MB of heap": of("heap"),
    "1,000 modules, MB resident": of("resident"),
    "start of the process until it listens, ms": of("startMs"),
    "start of the host until it listens, ms": of("listenMs"),
  });
  agent.destroy();
  const against = (name, limit) => ({ name: `${name} / ${limit}`, ratio: values[name].median / limit, atMost: 1 });
  return {
    unit: "",
    values,
    ratios: [
      against("publish, ms", limits.publishMs),
      against("discover, ms", limits.discoverMs),
      against("1,000 modules, MB of heap", limits.megabytes),
      against("start of the process until it listens, ms", limits.startMs),
      against("start of the host until it listens, ms", limits.startMs),
    ],
  };
}
