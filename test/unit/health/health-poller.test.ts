import { expect, test } from "vitest";
import { HealthMonitor } from "../../../src/health/health-monitor.js";
import { HealthPoller, type PollResult } from "../../../src/health/health-poller.js";
import { deferred } from "../../../src/internal/deferred.js";
import { manualClock } from "../../support/manual-clock.js";

const good: PollResult = { kind: "answered", verdict: "healthy", reason: "" };
const bad: PollResult = { kind: "failed", reason: "refused" };
const settled = () => new Promise(setImmediate);

function polled(poll: (signal: AbortSignal, count: number) => Promise<PollResult>) {
  const clock = manualClock();
  const results: string[] = [];
  let count = 0;
  const poller = new HealthPoller({
    clock,
    intervalMs: 1_000,
    timeoutMs: 100,
    retryMs: 50,
    poll: (signal) => poll(signal, count++),
    onResult: (result) => results.push(result.kind === "failed" ? result.reason : result.verdict),
  });
  return { clock, results, poller, count: () => count };
}

test("polls at once, then every interval", async () => {
  const { clock, poller, results } = polled(async () => good);
  poller.pollNow();
  await settled();
  expect(results).toEqual(["healthy"]);
  clock.advance(999);
  await settled();
  expect(results).toHaveLength(1);
  clock.advance(1);
  await settled();
  expect(results).toHaveLength(2);
});

test("after failures it polls sooner, and ever later up to the interval", async () => {
  const { clock, poller, count } = polled(async () => bad);
  poller.pollNow();
  await settled();
  for (const delayMs of [50, 100, 200, 400, 800, 1_000, 1_000]) {
    expect(clock.delays()).toEqual([delayMs]);
    clock.advance(delayMs);
    await settled();
  }
  expect(count()).toBe(8);
});

test("one good poll brings the interval back", async () => {
  const { clock, poller } = polled(async (_, count) => (count === 0 ? bad : good));
  poller.pollNow();
  await settled();
  clock.advance(50);
  await settled();
  expect(clock.delays()).toEqual([1_000]);
});

test("a poll that throws counts as failed with the error's message", async () => {
  const { poller, results } = polled(async () => {
    throw new Error("no route");
  });
  poller.pollNow();
  await settled();
  expect(results).toEqual(["no route"]);
});

test("a poll without an answer is given up at its limit, and says so", async () => {
  const { clock, poller, results } = polled(() => new Promise(() => {}));
  poller.pollNow();
  clock.advance(99);
  await settled();
  expect(results).toEqual([]);
  clock.advance(1);
  await settled();
  expect(results).toEqual(["no answer to a health poll in 100 ms"]);
  expect(clock.delays()).toEqual([50]);
});

test("asking for a poll while one is under way starts no second one", async () => {
  const answer = deferred<PollResult>();
  const { poller, count, clock } = polled(() => answer.promise);
  poller.pollNow();
  poller.pollNow();
  expect(count()).toBe(1);
  answer.resolve(good);
  await settled();
  poller.pollNow();
  expect(count()).toBe(2);
  await settled();
  expect(clock.delays()).toEqual([1_000]);
});

test("a poll asked for afresh follows one that is under way, whose answer may be too old", async () => {
  const answers = [deferred<PollResult>(), deferred<PollResult>()];
  const { poller, count, clock } = polled((_, i) => answers[i]?.promise ?? Promise.resolve(good));
  poller.pollAfresh();
  poller.pollAfresh();
  expect(count()).toBe(1);
  answers[0]?.resolve(good);
  await settled();
  clock.advance(0);
  expect(count()).toBe(2);
  answers[1]?.resolve(good);
  await settled();
  expect(clock.delays()).toEqual([1_000]);
});

test("close ends the polling, also a poll under way, whose result is dropped", async () => {
  let aborted = false;
  const { poller, results, clock } = polled(
    (signal) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          aborted = true;
          reject(signal.reason);
        }),
      ),
  );
  poller.pollNow();
  poller.close();
  await settled();
  expect({ aborted, results, timers: clock.pending }).toEqual({ aborted: true, results: [], timers: 0 });
  poller.pollNow();
  expect(clock.pending).toBe(0);
});

function monitored() {
  const clock = manualClock();
  const monitor = new HealthMonitor({
    clock,
    intervalMs: 1_000,
    timeoutMs: 100,
    retryMs: 50,
    startGraceMs: 0,
    fallThreshold: 1,
    riseThreshold: 1,
    ejectAfterFailures: 5,
    ejectMs: 1_000,
    maxEjectMs: 4_000,
    onChange: () => {},
  });
  return { clock, monitor };
}

test("a failed call brings the next poll at once, so that a dead plugin is found before more calls fail", async () => {
  const { monitor } = monitored();
  let answer: PollResult = good;
  monitor.startPolling(async () => answer);
  await settled();
  expect(monitor.current.state).toBe("healthy");
  answer = bad;
  monitor.callFailed("reset");
  await settled();
  expect(monitor.current).toMatchObject({ state: "unhealthy", cause: "polled" });
});

test("a plugin that reports its recovery is healthy as soon as it says so when asked, not an interval later", async () => {
  const { monitor } = monitored();
  let answer: PollResult = { kind: "answered", verdict: "degraded", reason: "no logger" };
  monitor.startPolling(async () => answer);
  monitor.report("degraded", "no logger", ["logger"]);
  await settled();
  expect(monitor.current).toMatchObject({ state: "degraded" });
  answer = good;
  monitor.report("healthy", "", []);
  expect(monitor.current).toMatchObject({ state: "degraded", cause: "polled" });
  await settled();
  expect(monitor.current).toMatchObject({ state: "healthy" });
});

test("a new poll takes the place of the one before", async () => {
  const { monitor, clock } = monitored();
  monitor.startPolling(async () => bad);
  monitor.startPolling(async () => good);
  await settled();
  expect(monitor.current.state).toBe("healthy");
  expect(clock.pending).toBe(1);
});

test("who begins to poll a closed monitor leaves no timer behind", async () => {
  const { monitor, clock } = monitored();
  monitor.close();
  monitor.startPolling(async () => good);
  await settled();
  expect(clock.pending).toBe(0);
});

test("a suspected end brings a poll at once and soon ones after it, until the interval is reached again", async () => {
  const { clock, poller } = polled(async () => good);
  poller.pollNow();
  await settled();
  expect(clock.delays()).toEqual([1_000]);
  poller.suspectEnd();
  await settled();
  for (const delayMs of [50, 100, 200, 400, 800, 1_000, 1_000]) {
    expect(clock.delays()).toEqual([delayMs]);
    clock.advance(delayMs);
    await settled();
  }
});
