import { expect, test } from "vitest";
import { type Rate, TokenBuckets } from "../../../src/internal/token-bucket.js";
import { manualClock } from "../../support/manual-clock.js";

function buckets(rate: Rate) {
  const clock = manualClock();
  return { clock, rates: new TokenBuckets(rate, () => clock.monotonic()) };
}

const takeAll = (rates: TokenBuckets, times: number, key = "a") => Array.from({ length: times }, () => rates.take(key));

test("a burst passes, and then as many as come back", () => {
  const { clock, rates } = buckets({ perSecond: 2, burst: 3 });
  expect(takeAll(rates, 4)).toEqual([0, 0, 0, 500]);
  clock.advance(250);
  expect(rates.take("a")).toBe(250);
  clock.advance(250);
  expect(rates.take("a")).toBe(0);
});

test("who is refused loses nothing by asking", () => {
  const { clock, rates } = buckets({ perSecond: 1, burst: 1 });
  takeAll(rates, 50);
  clock.advance(1_000);
  expect(rates.take("a")).toBe(0);
});

test("no more than the burst gathers in a long time", () => {
  const { clock, rates } = buckets({ perSecond: 10, burst: 2 });
  takeAll(rates, 2);
  clock.advance(3_600_000);
  expect(takeAll(rates, 3)).toEqual([0, 0, 100]);
});

test("each key has a bucket of its own", () => {
  const { rates } = buckets({ perSecond: 1, burst: 1 });
  expect([rates.take("a"), rates.take("b"), rates.take("a")]).toEqual([0, 0, 1_000]);
});

test("a rate below one a second gives the right wait", () => {
  const { clock, rates } = buckets({ perSecond: 0.1, burst: 1 });
  rates.take("a");
  expect(rates.take("a")).toBe(10_000);
  clock.advance(10_000);
  expect(rates.take("a")).toBe(0);
});

test("an empty bucket stays empty when others are forgotten", () => {
  const { clock, rates } = buckets({ perSecond: 1, burst: 2 });
  clock.advance(1_999);
  takeAll(rates, 2);
  clock.advance(1);
  expect(rates.take("b")).toBe(0);
  expect(rates.take("a")).toBe(999);
});
