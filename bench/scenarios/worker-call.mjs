// A typed call from one worker thread to another, and from a module in the host's process to a worker thread, through the host, one at a
// time and 64 in flight, against the bare port between two threads that carries the same bytes and does nothing with them.
import assert from "node:assert/strict";
import { MessageChannel, Worker } from "node:worker_threads";
import { Platform } from "../../dist/index.js";
import { definePlugin } from "../../dist/plugin/index.js";
import { Cache, callOf } from "../lib/cache-service.mjs";
import { alternate } from "../lib/statistics.mjs";

export const title =
  "a call to a plugin in a worker thread, from another one and from a module: one at a time, and 64 at once";
export const tools = [];

const program = (name) => new URL(`../programs/${name}.mjs`, import.meta.url);

/** Microseconds a message to another thread and back, with so many on the way. */
async function portMicroseconds(port, atOnce, forMs) {
  const begin = performance.now();
  const endsAt = begin + forMs;
  let done = 0;
  await new Promise((resolve) => {
    let open = 0;
    const send = () => {
      open += 1;
      port.postMessage(new Uint8Array(100));
    };
    port.on("message", (bytes) => {
      assert.equal(bytes.length, 100);
      open -= 1;
      done += 1;
      if (performance.now() < endsAt) send();
      else if (open === 0) resolve();
    });
    for (let index = 0; index < atOnce; index++) send();
  });
  port.removeAllListeners("message");
  return ((performance.now() - begin) * 1_000) / done;
}

/** Microseconds a call from this thread; with `spent`, of all threads' processor time. */
async function moduleMicroseconds(call, atOnce, forMs, spent = false) {
  const begin = performance.now();
  const before = process.cpuUsage();
  let calls = 0;
  while (performance.now() - begin < forMs) {
    const answers = await Promise.all(Array.from({ length: atOnce }, () => call("hello")));
    for (const answer of answers) assert.equal(answer, "hello");
    calls += atOnce;
  }
  if (!spent) return ((performance.now() - begin) * 1_000) / calls;
  const { user, system } = process.cpuUsage(before);
  return (user + system) / calls;
}

export async function run({ rounds, seconds }) {
  const forMs = Math.min(seconds, 2) * 1_000;
  const platform = new Platform({
    ingress: [{ prefix: "/timing", type: "timing", access: "open" }],
    authorize: () => undefined,
    callerRate: { perSecond: 1e9, burst: 1e9 },
  });
  const { port1, port2 } = new MessageChannel();
  const echo = new Worker(program("port-echo"), { workerData: port2, transferList: [port2] });
  try {
    await platform.listen({ port: 0 });
    await platform.addPlugin({ worker: program("worker-cache") });
    await platform.addPlugin({ worker: program("worker-caller") });
    let fromModule;
    const module = definePlugin({
      id: "module-caller",
      version: "1.0.0",
      requires: { cache: { service: Cache } },
      setup(plugin) {
        fromModule = callOf(plugin.client("cache"));
        return {};
      },
    });
    await platform.addPlugin({ module });
    const calls = async (atOnce) => {
      const answer = await fetch(`${platform.url}/timing?atOnce=${atOnce}&forMs=${forMs}`);
      assert.equal(answer.status, 200);
      return (await answer.json()).microseconds;
    };
    await calls(64);
    await calls(1);
    await moduleMicroseconds(fromModule, 64, forMs);
    const values = await alternate(rounds, {
      "through the host": () => calls(1),
      "bare port": () => portMicroseconds(port1, 1, forMs),
      "from a module": () => moduleMicroseconds(fromModule, 1, forMs),
      "through the host, 64 at once": () => calls(64),
      "from a module, 64 at once": () => moduleMicroseconds(fromModule, 64, forMs),
      "from a module, 64 at once, processor time of all threads": () => moduleMicroseconds(fromModule, 64, forMs, true),
      "bare port, 64 at once": () => portMicroseconds(port1, 64, forMs),
    });
    const ratioOf = (way, rest) => values[`bare port${rest}`].median / values[`${way}${rest}`].median;
    return {
      unit: "µs",
      values,
      ratios: [
        { name: "bare port / host", ratio: ratioOf("through the host", "") },
        { name: "bare port / host, 64 at once", ratio: ratioOf("through the host", ", 64 at once") },
        { name: "bare port / from a module", ratio: ratioOf("from a module", "") },
        { name: "bare port / from a module, 64 at once", ratio: ratioOf("from a module", ", 64 at once") },
      ],
    };
  } finally {
    port1.close();
    await echo.terminate();
    await platform.stop();
  }
}
