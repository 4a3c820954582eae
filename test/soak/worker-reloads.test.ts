import { readFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { Platform } from "../../src/index.js";
import { builtExamples } from "../support/built-examples.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { openThreads, untilThreadsEnd, workerProbe } from "../support/workers.js";

const mib = 1_048_576;
// A thread's memory goes back to the allocator, which keeps some of it; a leak of one thread's modules is 5 MiB each time.
const slackMib = 40;

test("two hundred reloads of a worker leave memory and threads on a plateau", async () => {
  builtExamples();
  const platform = new Platform({ limits: { graceMs: 0 } });
  onTestFinished(() => platform.stop());
  const reload = async (): Promise<void> => {
    const first = await platform.addPlugin(workerProbe());
    expect(await platform.client(Echo).say({ text: "hi" })).toMatchObject({ provider: first.runtimeId });
    const second = await platform.replacePlugin(first.runtimeId, workerProbe());
    await platform.removePlugin(second.runtimeId);
  };
  const threads = openThreads();
  const systemThreads = threadCount();
  for (let times = 0; times < 20; times++) await reload();
  const settled = residentBytes();
  for (let times = 0; times < 80; times++) await reload();
  await untilThreadsEnd(threads);
  expect((residentBytes() - settled) / mib).toBeLessThan(slackMib);
  expect(threadCount()).toBeLessThanOrEqual(systemThreads + 1);
});

function residentBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().rss;
}

/** Threads of this process as the system counts them; the same number everywhere but on Linux. */
function threadCount(): number {
  if (process.platform !== "linux") return 0;
  return Number(/^Threads:\s+(\d+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}
