import { expect, onTestFinished, test } from "vitest";
import { Platform } from "../../src/index.js";
import { builtExamples } from "../support/built-examples.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { workerModule, workerProbe } from "../support/workers.js";

/** Milliseconds of calls one after the other, sorted. */
async function latencies(call: () => Promise<unknown>, isOver: () => boolean): Promise<number[]> {
  const all: number[] = [];
  while (!isOver()) {
    const startedAt = performance.now();
    await call();
    all.push(performance.now() - startedAt);
    // Others have their turn; calls in one burst would measure the burst.
    await new Promise(setImmediate);
  }
  return all.sort((a, b) => a - b);
}

const p99 = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;

function overAfter(ms: number): () => boolean {
  const endsAt = performance.now() + ms;
  return () => performance.now() > endsAt;
}

test("while one worker loops, the others answer nearly as before, until its watchdog ends it", async () => {
  builtExamples();
  const platform = new Platform({ ingress: [{ prefix: "/loop", type: "loop", access: "open" }] });
  onTestFinished(() => platform.stop());
  await platform.listen({ port: 0 });
  await platform.addPlugin(workerProbe());
  const echo = platform.client(Echo);
  const call = () => echo.say({ text: "hi" });
  await latencies(call, overAfter(1_000));
  const before = p99(await latencies(call, overAfter(3_000)));

  let reason: string | undefined;
  platform.on("health", ({ selfId, health }) => {
    if (selfId === "looper" && health.cause === "exit") reason = health.reason;
  });
  await platform.addPlugin({ worker: workerModule("looper"), watchdogMs: 4_000 });
  const asked = fetch(`${platform.url}/loop`).catch(() => {});
  const isLate = overAfter(20_000);
  const during = await latencies(call, () => reason !== undefined || isLate());

  await asked;
  expect(reason).toMatch(/^it answered nothing for 4000 ms/);
  expect(during.length).toBeGreaterThan(100);
  expect(p99(during)).toBeLessThan(before * 2 + 5);
});
