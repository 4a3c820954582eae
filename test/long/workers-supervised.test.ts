import { beforeAll, expect, test } from "vitest";
import type { Platform, PlatformEvents, PlatformOptions, Supervision } from "../../src/index.js";
import { builtExamples } from "../support/built-examples.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { servedModule, startPlatform, untilGroupsEnd } from "../support/process-plugins.js";
import { openThreads, untilThreadsEnd, workerModule, workerProbe } from "../support/workers.js";

beforeAll(() => void builtExamples());

type SupervisionEvent = PlatformEvents["supervision"];

async function start(supervision: PlatformOptions["supervision"] = { firstDelayMs: 100, maxDelayMs: 400 }) {
  const platform = await startPlatform({
    supervision,
    ingress: [{ prefix: "/open", type: "probe", access: "open" }],
  });
  const told: (SupervisionEvent & { readonly at: number })[] = [];
  platform.on("supervision", (event) => told.push({ ...event, at: Date.now() }));
  return {
    platform,
    told,
    next: (kind: Supervision["kind"]): Promise<SupervisionEvent> =>
      new Promise((resolve) => {
        const off = platform.on("supervision", (event) => {
          if (event.supervision.kind !== kind) return;
          off();
          resolve(event);
        });
      }),
    /** Makes the probe do something. Calls that it takes with it are nobody's loss here. */
    act: (what: string): Promise<unknown> => fetch(`${platform.url}/open/${what}`).catch(() => undefined),
  };
}

const answererOf = async (platform: Platform): Promise<string> =>
  (await platform.client(Echo, { type: "echo" }).say({ text: "hi" })).provider;

/** Ends the probe as often as it serves, and resolves when it is quarantined. */
async function quarantine({ platform, next, act }: Awaited<ReturnType<typeof start>>): Promise<SupervisionEvent> {
  const quarantined = next("quarantined");
  const off = platform.on("supervision", ({ supervision }) => {
    if (supervision.kind === "running") void act("exit?with=3");
  });
  void act("exit?with=3");
  const event = await quarantined;
  off();
  return event;
}

test("a worker that loops again and again is ended by its watchdog each time, and started again after growing pauses", async () => {
  const { platform, told, next, act } = await start();
  const before = openThreads();
  const first = await platform.addPlugin(workerProbe({ watchdogMs: 300 }));
  const ids = [first.runtimeId];
  for (let count = 0; count < 3; count++) {
    const again = next("running");
    void act("loop");
    const { runtimeId } = await again;
    ids.push(runtimeId);
    expect(await answererOf(platform)).toBe(runtimeId);
    expect(platform.plugin(first.runtimeId).runtimeId).toBe(runtimeId);
  }
  expect(new Set(ids).size).toBe(4);
  const waits = told.flatMap(({ supervision, at }) =>
    supervision.kind === "restarting" ? [{ ...supervision, waitMs: supervision.nextAt - at }] : [],
  );
  expect(waits.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  for (const { attempt, waitMs, lastError } of waits) {
    expect(lastError).toMatch(/answered nothing for 300 ms and was ended/);
    // Half of it for certain, but for the moments between the reckoning and the event.
    const backOffMs = 100 * 2 ** (attempt - 1);
    expect(waitMs).toBeGreaterThan(backOffMs / 2 - 25);
    expect(waitMs).toBeLessThanOrEqual(backOffMs + 1);
  }
  await platform.stop();
  await untilThreadsEnd(before);
});

test.each([
  {
    why: "fills its heap",
    what: "heap",
    given: { resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 } },
    reason: /has filled its JavaScript heap/,
  },
  {
    why: "holds more buffers than it may",
    what: "buffers?with=64",
    given: { watchdogMs: 400, maxBufferMb: 32 },
    reason: /bytes outside of its heap/,
  },
  { why: "throws where nobody catches", what: "throw", given: {}, reason: /thrown in a timer/ },
])("a worker that $why is started again with the same limits, which end it again", async ({ what, given, reason }) => {
  const { platform, told, next, act } = await start();
  await platform.addPlugin(workerProbe(given));
  for (let count = 0; count < 2; count++) {
    const again = next("running");
    void act(what);
    expect(await again.then(() => answererOf(platform))).toBe((await again).runtimeId);
  }
  const reasons = told.flatMap(({ supervision }) => (supervision.kind === "restarting" ? [supervision.lastError] : []));
  expect(reasons).toEqual([expect.stringMatching(reason), expect.stringMatching(reason)]);
});

test("a worker that loops takes nothing with it while it is down: others answer, and its callers hear why", async () => {
  const { platform, next, act } = await start({ firstDelayMs: 60_000, maxDelayMs: 60_000 });
  await platform.addPlugin(workerProbe({ watchdogMs: 300 }));
  await platform.addPlugin({ worker: workerModule("relay") });
  const down = next("restarting");
  void act("loop");
  await down;
  const relay = platform.client(Echo, { type: "relay" });
  await expect(relay.say({ text: "hi" })).rejects.toMatchObject({
    rawMessage: expect.stringMatching(/answered nothing for 300 ms/),
  });
  expect(platform.plugins().map(({ selfId, supervision }) => [selfId, supervision.kind])).toEqual([
    ["probe", "restarting"],
    ["relay", "running"],
  ]);
});

test("a worker that crashes over and over is quarantined, leaves no thread, and serves again when it is released", async () => {
  const before = openThreads();
  const host = await start({ firstDelayMs: 20, maxDelayMs: 20, maxCrashes: 3 });
  const { platform } = host;
  const { runtimeId } = await platform.addPlugin(workerProbe());
  const { supervision } = await quarantine(host);
  expect(supervision).toMatchObject({ crashes: 3, lastError: expect.stringMatching(/ended its thread with code 3/) });
  await untilThreadsEnd(before);
  await expect(answererOf(platform)).rejects.toMatchObject({
    rawMessage: expect.stringMatching(/released or replaced/),
  });
  const released = await platform.releasePlugin(runtimeId);
  expect(released).toMatchObject({
    origin: "worker",
    health: "healthy",
    supervision: { kind: "running", restarts: 0 },
  });
  expect(await answererOf(platform)).toBe(released.runtimeId);
  // It has all of its chances again.
  expect((await quarantine(host)).supervision).toMatchObject({ crashes: 3 });
});

test("a quarantined worker is replaced by the same module in a process, and that by a worker again", async () => {
  const before = openThreads();
  const host = await start({ firstDelayMs: 20, maxDelayMs: 20, maxCrashes: 2 });
  const { platform } = host;
  const { runtimeId } = await platform.addPlugin(workerProbe());
  await quarantine(host);
  const second = await platform.replacePlugin(runtimeId, servedModule(workerModule("probe")));
  expect(second).toMatchObject({ origin: "process", health: "healthy", supervision: { kind: "running" } });
  expect(await answererOf(platform)).toBe(second.runtimeId);
  expect(platform.plugins()).toHaveLength(1);
  await untilThreadsEnd(before);
  // The process is under the same supervision.
  await quarantine(host);
  await untilGroupsEnd([second.pid ?? 0], 2_000);
  const third = await platform.replacePlugin(second.runtimeId, workerProbe());
  expect(third).toMatchObject({ origin: "worker", supervision: { kind: "running" } });
  expect(await answererOf(platform)).toBe(third.runtimeId);
});
