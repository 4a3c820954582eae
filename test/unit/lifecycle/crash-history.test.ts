import { expect, test } from "vitest";
import { CrashHistory, type RestartPolicy } from "../../../src/lifecycle/crash-history.js";

const policy: RestartPolicy = {
  firstDelayMs: 1_000,
  maxDelayMs: 6_000,
  resetAfterMs: 60_000,
  maxCrashes: 6,
  crashWindowMs: 300_000,
};

const delays = (random: number, count: number): number[] => {
  const history = new CrashHistory({ ...policy, maxCrashes: Number.POSITIVE_INFINITY }, () => random);
  return Array.from({ length: count }, (_, at) => {
    const next = history.crashed(at, 0);
    return next.kind === "restart" ? next.delayMs : -1;
  });
};

test.each([
  { random: 0, want: [500, 1_000, 2_000, 3_000, 3_000], why: "half of the back-off is certain" },
  { random: 0.5, want: [750, 1_500, 3_000, 4_500, 4_500], why: "the other half is up to chance" },
  { random: 0.999_999, want: [1_000, 2_000, 4_000, 6_000, 6_000], why: "it never takes longer than the back-off" },
])("delays double up to the longest with chance at $random: $why", ({ random, want }) => {
  expect(delays(random, 5).map(Math.round)).toEqual(want);
});

test("a back-off stays a number however often it is doubled", () => {
  expect(delays(0, 2_000).at(-1)).toBe(3_000);
  const atOnce = new CrashHistory({ ...policy, firstDelayMs: 0, maxCrashes: Number.POSITIVE_INFINITY }, () => 0.5);
  const ends = Array.from({ length: 2_000 }, (_, at) => atOnce.crashed(at, 0));
  expect(ends.at(-1)).toEqual({ kind: "restart", attempt: 2_000, delayMs: 0 });
});

test("as many ends within the window as make a crash loop mean quarantine", () => {
  const history = new CrashHistory(policy, () => 0);
  for (const at of [0, 10, 20, 30, 40]) expect(history.crashed(at, 5).kind).toBe("restart");
  expect(history.crashed(50, 5)).toEqual({ kind: "quarantine", crashes: 6 });
});

test("ends that are older than the window do not count", () => {
  const history = new CrashHistory(policy, () => 0);
  for (let at = 0; at < 20; at++) expect(history.crashed(at * 60_000, 59_999).kind).toBe("restart");
});

test("an end at the very edge of the window is outside of it", () => {
  const history = new CrashHistory({ ...policy, maxCrashes: 2, resetAfterMs: 1e9 }, () => 0);
  expect(history.crashed(0, 0).kind).toBe("restart");
  expect(history.crashed(300_000, 0).kind).toBe("restart");
  expect(history.crashed(599_999, 0).kind).toBe("quarantine");
});

test("after a run that is long enough the back-off begins anew", () => {
  const history = new CrashHistory(policy, () => 0);
  history.crashed(0, 0);
  expect(history.crashed(1, 59_999)).toMatchObject({ attempt: 2, delayMs: 1_000 });
  expect(history.crashed(2, 60_000)).toMatchObject({ attempt: 1, delayMs: 500 });
});

test("what is forgotten does not count", () => {
  const history = new CrashHistory(policy, () => 0);
  for (let at = 0; at < 5; at++) history.crashed(at, 0);
  history.forget();
  expect(history.attempts).toBe(0);
  expect(history.crashed(6, 0)).toMatchObject({ kind: "restart", attempt: 1 });
});
