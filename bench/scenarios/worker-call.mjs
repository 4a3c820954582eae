// A typed call from one worker thread to another, through the host, one at a time and 64 in flight, against the bare port between two
// threads that carries the same bytes and does nothing with them.
import assert from "node:assert/strict";
import { MessageChannel, Worker } from "node:worker_threads";
import { Platform } from "../../dist/index.js";
import { alternate } from "../lib/statistics.mjs";

export const title = "a call between two plugins in worker threads: one at a time, and 64 at once";
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
    const calls = async (atOnce) => {
      const answer = await fetch(`${platform.url}/timing?atOnce=${atOnce}&forMs=${forMs}`);
      assert.equal(answer.status, 200);
      return (await answer.json()).microseconds;
    };
    await calls(64);
    await calls(1);
    const values = await alternate(rounds, {
      "through the host": () => calls(1),
      "bare port": () => portMicroseconds(port1, 1, forMs),
      "through the host, 64 at once": () => calls(64),
      "bare port, 64 at once": () => portMicroseconds(port1, 64, forMs),
    });
    const ratioOf = (rest) => values[`bare port${rest}`].median / values[`through the host${rest}`].median;
    return {
      unit: "µs",
      values,
      ratios: [
        { name: "bare port / host", ratio: ratioOf("") },
        { name: "bare port / host, 64 at once", ratio: ratioOf(", 64 at once") },
      ],
    };
  } finally {
    port1.close();
    await echo.terminate();
    await platform.stop();
  }
}
