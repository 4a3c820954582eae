import { expect, test } from "vitest";
import { backOffMs } from "../../../src/internal/back-off.js";
import { pause } from "../../../src/plugin/back-off.js";
import { manualClock } from "../../support/manual-clock.js";

test.each([
  { failures: 1, random: 0, ms: 50, why: "half of the first wait at least" },
  { failures: 1, random: 0.999, ms: 99.95, why: "never more than the first wait" },
  { failures: 3, random: 0, ms: 200, why: "doubles twice" },
  { failures: 7, random: 0, ms: 500, why: "is limited" },
  { failures: 100_000, random: 0, ms: 500, why: "does not overflow" },
])("after $failures failures the wait is $ms ms: $why", ({ failures, random, ms }) => {
  expect(backOffMs(failures, { firstMs: 100, longestMs: 1_000, random: () => random })).toBeCloseTo(ms);
});

test("a pause ends after its time, or as soon as its signal is aborted, and then leaves no timer", async () => {
  const clock = manualClock();
  const controller = new AbortController();
  const first = pause(clock, 100, controller.signal);
  clock.advance(100);
  await first;
  const second = pause(clock, 100, controller.signal);
  controller.abort();
  await second;
  await pause(clock, 100, controller.signal);
  expect(clock.pending).toBe(0);
});
