import { expect, test } from "vitest";
import { HealthTracker, type HealthTrackerOptions } from "../../../src/health/health-tracker.js";
import { manualClock } from "../../support/manual-clock.js";

function tracked(options: Partial<HealthTrackerOptions> = {}) {
  const clock = manualClock(1_000_000);
  const changes: string[] = [];
  const tracker = new HealthTracker({
    clock,
    startGraceMs: 5_000,
    fallThreshold: 3,
    riseThreshold: 2,
    ejectAfterFailures: 5,
    ejectMs: 1_000,
    maxEjectMs: 4_000,
    onChange: (now, before) => changes.push(`${before.state} -> ${now.state} (${now.cause}: ${now.reason})`),
    ...options,
  });
  const repeat = (times: number, act: () => void): void => {
    for (let i = 0; i < times; i++) act();
  };
  return { clock, changes, tracker, repeat };
}

test("a plugin is unready until its first report or its first good poll", () => {
  const { tracker, changes } = tracked();
  expect(tracker.current).toMatchObject({ state: "unready", cause: "start", since: 1_000_000 });
  tracker.pollAnswered("healthy", "says so");
  expect(changes).toEqual(["unready -> healthy (polled: says so)"]);
});

test("a change of state has its time; a change of the reason alone keeps it", () => {
  const { tracker, clock } = tracked();
  clock.advance(10);
  tracker.report("degraded", "one", []);
  clock.advance(10);
  tracker.report("degraded", "two", ["logger"]);
  expect(tracker.current).toEqual({
    state: "degraded",
    cause: "reported",
    reason: "two",
    since: 1_000_010,
    unavailableDependencies: ["logger"],
  });
});

test("the same report again is no change", () => {
  const { tracker, changes } = tracked();
  tracker.report("healthy", "", []);
  tracker.report("healthy", "", []);
  expect(changes).toHaveLength(1);
});

test("other unavailable dependencies are a change", () => {
  const { tracker, changes } = tracked();
  tracker.report("degraded", "x", ["a"]);
  tracker.report("degraded", "x", ["b"]);
  expect(changes).toHaveLength(2);
});

test("failed polls of a plugin that was never seen keep it unready, however many, and say what is in its way", () => {
  const { tracker, clock, repeat } = tracked();
  repeat(10, () => tracker.pollFailed("connection refused"));
  clock.advance(60_000);
  repeat(10, () => tracker.pollFailed("still refused"));
  expect(tracker.current).toMatchObject({ state: "unready", reason: "still refused" });
  tracker.pollAnswered("healthy", "");
  expect(tracker.current.state).toBe("healthy");
});

test("in its start grace a plugin that has reported may be silent, since it may report before it opens its port", () => {
  const { tracker, clock, repeat } = tracked();
  tracker.report("healthy", "", []);
  clock.advance(4_999);
  repeat(10, () => tracker.pollFailed("refused"));
  expect(tracker.current.state).toBe("healthy");
  clock.advance(1);
  repeat(2, () => tracker.pollFailed("refused"));
  expect(tracker.current.state).toBe("healthy");
  tracker.pollFailed("refused");
  expect(tracker.current).toMatchObject({ state: "unhealthy", cause: "polled", reason: "refused" });
});

test("the grace ends with the first answered poll", () => {
  const { tracker, repeat } = tracked();
  tracker.pollAnswered("healthy", "");
  repeat(3, () => tracker.pollFailed("refused"));
  expect(tracker.current.state).toBe("unhealthy");
});

test("a plugin falls after failures in a row only", () => {
  const { tracker, repeat } = tracked();
  tracker.pollAnswered("healthy", "");
  for (let i = 0; i < 5; i++) {
    repeat(2, () => tracker.pollFailed("refused"));
    tracker.pollAnswered("healthy", "");
  }
  expect(tracker.current.state).toBe("healthy");
});

test("a plugin rises after good polls in a row only", () => {
  const { tracker, repeat } = tracked();
  tracker.pollAnswered("healthy", "");
  repeat(3, () => tracker.pollFailed("refused"));
  tracker.pollAnswered("healthy", "");
  tracker.pollFailed("refused");
  tracker.pollAnswered("healthy", "");
  expect(tracker.current.state).toBe("unhealthy");
  tracker.pollAnswered("healthy", "");
  expect(tracker.current.state).toBe("healthy");
});

test("what a plugin answers of itself counts at once, for worse and for better", () => {
  const { tracker } = tracked();
  tracker.pollAnswered("healthy", "");
  tracker.pollAnswered("unhealthy", "disk full");
  expect(tracker.current).toMatchObject({ state: "unhealthy", cause: "polled", reason: "disk full" });
  tracker.pollAnswered("degraded", "disk nearly full");
  expect(tracker.current).toMatchObject({ state: "degraded", cause: "polled" });
  tracker.pollAnswered("healthy", "");
  expect(tracker.current.state).toBe("healthy");
});

test("a good poll never improves a report", () => {
  const { tracker, repeat } = tracked();
  tracker.report("unhealthy", "no database", ["db"]);
  repeat(10, () => tracker.pollAnswered("healthy", "answers"));
  expect(tracker.current).toMatchObject({ state: "unhealthy", cause: "reported", reason: "no database" });
  tracker.report("healthy", "", []);
  expect(tracker.current.state).toBe("healthy");
});

test("a plugin whose calls keep failing is ejected for a while, and let back by time", () => {
  const { tracker, clock, changes, repeat } = tracked();
  tracker.report("healthy", "", []);
  repeat(4, () => tracker.callFailed("reset"));
  tracker.callAnswered();
  repeat(4, () => tracker.callFailed("reset"));
  expect(tracker.current.state).toBe("healthy");
  tracker.callFailed("reset");
  expect(tracker.current).toMatchObject({
    state: "unhealthy",
    cause: "traffic",
    reason: "ejected for 1000 ms: calls keep failing, 5 in a row: reset",
  });
  clock.advance(999);
  expect(tracker.current.state).toBe("unhealthy");
  clock.advance(1);
  expect(tracker.current.state).toBe("healthy");
  expect(changes).toHaveLength(3);
});

test("one failed trial call ejects again, twice as long each time up to the limit", () => {
  const { tracker, clock, repeat } = tracked();
  tracker.report("healthy", "", []);
  repeat(5, () => tracker.callFailed("reset"));
  for (const ejectMs of [1_000, 2_000, 4_000, 4_000]) {
    clock.advance(ejectMs - 1);
    expect(tracker.current.state).toBe("unhealthy");
    clock.advance(1);
    expect(tracker.current.state).toBe("healthy");
    tracker.callFailed("reset");
  }
});

test("one good trial call makes the next ejection a first one", () => {
  const { tracker, clock, repeat } = tracked();
  tracker.report("healthy", "", []);
  repeat(5, () => tracker.callFailed("reset"));
  clock.advance(1_000);
  tracker.callAnswered();
  repeat(4, () => tracker.callFailed("reset"));
  expect(tracker.current.state).toBe("healthy");
  tracker.callFailed("reset");
  clock.advance(1_000);
  expect(tracker.current.state).toBe("healthy");
});

test("answers and failures of calls that began before an ejection change nothing about it", () => {
  const { tracker, clock, repeat } = tracked();
  tracker.report("healthy", "", []);
  repeat(5, () => tracker.callFailed("reset"));
  repeat(20, () => tracker.callFailed("reset"));
  tracker.callAnswered();
  expect(tracker.current.state).toBe("unhealthy");
  clock.advance(1_000);
  expect(tracker.current.state).toBe("healthy");
  tracker.callFailed("reset");
  clock.advance(1_999);
  expect(tracker.current.state).toBe("unhealthy");
  clock.advance(1);
  expect(tracker.current.state).toBe("healthy");
});

test("an end is the last word", () => {
  const { tracker } = tracked();
  tracker.report("healthy", "", []);
  tracker.exited("exit code 3");
  tracker.report("healthy", "", []);
  tracker.pollAnswered("healthy", "");
  expect(tracker.current).toMatchObject({ state: "unhealthy", cause: "exit", reason: "exit code 3" });
});

test("after close nothing changes any more and no timer is left", () => {
  const { tracker, clock, changes, repeat } = tracked();
  tracker.report("healthy", "", []);
  repeat(5, () => tracker.callFailed("reset"));
  expect(clock.pending).toBe(1);
  tracker.close();
  repeat(10, () => tracker.callFailed("reset"));
  tracker.exited("gone");
  tracker.report("degraded", "", []);
  expect(clock.pending).toBe(0);
  expect(changes).toHaveLength(2);
});
