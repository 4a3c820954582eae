import { expect, test } from "vitest";
import { manualClock } from "../../../src/testing/index.js";

test("timers fire in the order of time, each at its own time", () => {
  const clock = manualClock(1_000);
  const fired: string[] = [];
  const note = (name: string) => () => fired.push(`${name} at ${clock.monotonic()}`);
  clock.after(20, note("late"));
  clock.after(10, note("early"));
  clock.advance(15);
  expect(fired).toEqual(["early at 10"]);
  clock.advance(15);
  expect(fired).toEqual(["early at 10", "late at 20"]);
  expect([clock.now(), clock.monotonic()]).toEqual([1_030, 30]);
});

test("what a fired timer sets is fired too if it comes due", () => {
  const clock = manualClock();
  let ticks = 0;
  const tick = (): void => {
    ticks += 1;
    clock.after(10, tick);
  };
  clock.after(10, tick);
  clock.advance(100);
  expect(ticks).toBe(10);
  expect(clock.delays()).toEqual([10]);
});

test("a cancelled timer does not fire and is not pending", () => {
  const clock = manualClock();
  const timer = clock.after(10, () => expect.fail("it was cancelled"));
  expect(clock.pending).toBe(1);
  timer.cancel();
  timer.cancel();
  expect(clock.pending).toBe(0);
  clock.advance(10);
});

test("advanceAsync lets promise callbacks set timers on the way, which advance cannot", async () => {
  const steps = async (advance: "advance" | "advanceAsync"): Promise<number> => {
    const clock = manualClock();
    let count = 0;
    const run = async (): Promise<void> => {
      for (;;) {
        await new Promise<void>((resolve) => clock.after(10, resolve));
        count += 1;
      }
    };
    void run();
    await clock[advance](100);
    return count;
  };
  expect(await steps("advance")).toBeLessThan(2);
  expect(await steps("advanceAsync")).toBe(10);
});

test("a timer without a delay, or with a negative one, fires at the next move, even by nothing", () => {
  const clock = manualClock();
  let fired = 0;
  clock.after(-5, () => (fired += 1));
  expect(fired).toBe(0);
  clock.advance(0);
  expect(fired).toBe(1);
});
