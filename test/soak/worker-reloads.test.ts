import { readFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { Platform } from "../../src/index.js";
import { builtExamples } from "../support/built-examples.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { openThreads, untilThreadsEnd, workerProbe } from "../support/workers.js";

const mib = 1_048_576;
// A thread's memory goes back to the allocator, which keeps some of it; a leak of one thread's modules is 5 MiB each time.
const slackMib = 40;

// If each plugin kept the one before it in memory, these would take 5 MiB of the heap, and as much outside of it.
const keptMib = 3;

async function startPlatform(): Promise<Platform> {
  builtExamples();
  const platform = new Platform({ limits: { graceMs: 0 } });
  onTestFinished(() => platform.stop());
  return platform;
}

test("two hundred reloads of a worker leave memory and threads on a plateau", async () => {
  const platform = await startPlatform();
  const reload = async (): Promise<void> => {
    const first = await platform.addPlugin(workerProbe());
    expect(await platform.client(Echo).say({ text: "hi" })).toMatchObject({ provider: first.runtimeId });
    const second = await platform.replacePlugin(first.runtimeId, workerProbe());
    await platform.removePlugin(second.runtimeId);
  };
  const threads = openThreads();
  const systemThreads = threadCount();
  for (let times = 0; times < 20; times++) await reload();
  const settled = usedMib();
  for (let times = 0; times < 80; times++) await reload();
  await untilThreadsEnd(threads);
  expect(usedMib().resident - settled.resident).toBeLessThan(slackMib);
  expect(threadCount()).toBeLessThanOrEqual(systemThreads + 1);
});

test("two hundred workers, each in the place of the one before it, leave memory on a plateau", async () => {
  const platform = await startPlatform();
  let { runtimeId } = await platform.addPlugin(workerProbe());
  const replace = async (times: number): Promise<void> => {
    for (let count = 0; count < times; count++) {
      ({ runtimeId } = await platform.replacePlugin(runtimeId, workerProbe()));
      expect(await platform.client(Echo).say({ text: "hi" })).toMatchObject({ provider: runtimeId });
    }
  };
  await replace(60);
  const settled = usedMib();
  await replace(140);
  // What the last workers held outside of the heap, 1.3 MiB each, is freed after their threads have ended, and by the second
  // collection: the first one only finds out.
  await expect.poll(() => usedMib().external - settled.external, { timeout: 10_000 }).toBeLessThan(keptMib);
  const used = usedMib();
  expect(used.heap - settled.heap).toBeLessThan(keptMib);
  expect(used.resident - settled.resident).toBeLessThan(slackMib);
});

/** Memory in use after a collection of garbage. */
function usedMib() {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error("this test needs node --expose-gc");
  gc();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { resident: rss / mib, heap: heapUsed / mib, external: external / mib };
}

/** Threads of this process as the system counts them; the same number everywhere but on Linux. */
function threadCount(): number {
  if (process.platform !== "linux") return 0;
  return Number(/^Threads:\s+(\d+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}
