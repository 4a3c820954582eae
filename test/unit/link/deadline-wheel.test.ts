import { expect, test } from "vitest";
import { DeadlineWheel, type Expiring } from "../../../src/link/deadline-wheel.js";
import { manualClock } from "../../support/manual-clock.js";

function bench() {
  const clock = manualClock();
  const wheel = new DeadlineWheel(clock);
  const fired: [delayMs: number, atMs: number][] = [];
  const add = (delayMs: number): Expiring => {
    const now = clock.monotonic();
    const expire = (): void => void fired.push([delayMs, clock.monotonic()]);
    const item: Expiring = { dueAt: now + delayMs, bucket: undefined, expire };
    wheel.add(item, now);
    return item;
  };
  return { clock, wheel, fired, add };
}

test("deadlines fire in their order, never early and at most one step late, however far off", () => {
  const { clock, fired, add } = bench();
  const delays = [3, 70_000, 4_999, 5_001, 10, 0, 12_345, 11];
  for (const delayMs of delays) add(delayMs);
  for (let ms = 0; ms < 71_000; ms += 7) clock.advance(7);
  expect(fired).toHaveLength(delays.length);
  for (const [delayMs, atMs] of fired) {
    expect(atMs).toBeGreaterThanOrEqual(delayMs);
    expect(atMs).toBeLessThanOrEqual(delayMs + 10);
  }
  expect(clock.pending).toBe(0);
});

test("there is one timer however many deadlines, and none when they have all been met", () => {
  const { clock, wheel, fired, add } = bench();
  const items = Array.from({ length: 1_000 }, (_, index) => add(1_000 + index));
  expect(clock.pending).toBe(1);
  add(5);
  expect(clock.pending).toBe(1);
  for (const item of items) wheel.remove(item);
  clock.advance(2_000);
  expect(fired).toEqual([[5, 10]]);
  expect(clock.pending).toBe(0);
});

test("what is cleared never fires", () => {
  const { clock, wheel, fired, add } = bench();
  add(5);
  wheel.clear();
  clock.advance(100);
  expect([fired, clock.pending]).toEqual([[], 0]);
});
