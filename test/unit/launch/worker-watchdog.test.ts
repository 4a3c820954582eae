import { expect, test } from "vitest";
import { WorkerWatchdog } from "../../../src/launch/worker-watchdog.js";
import { type ManualClock, manualClock } from "../../support/manual-clock.js";

function watch(clock: ManualClock, silenceMs = 2_000) {
  const seen = { asked: 0, silentMs: undefined as number | undefined, halted: false };
  const watchdog = new WorkerWatchdog({
    clock,
    silenceMs,
    isHalted: () => seen.halted,
    ask: () => {
      seen.asked += 1;
    },
    onSilence: (silentMs) => {
      seen.silentMs = silentMs;
    },
  });
  watchdog.start();
  return { watchdog, seen };
}

/** Lets time pass in steps that no timer is late by. */
function pass(clock: ManualClock, ms: number, each: () => void = () => {}): void {
  for (let step = 0; step < ms / 100; step++) {
    clock.advance(100);
    each();
  }
}

test("a thread that answers is left alone", () => {
  const clock = manualClock();
  const { watchdog, seen } = watch(clock);
  let answered = 0;
  pass(clock, 60_000, () => {
    if (seen.asked > answered) watchdog.heard();
    answered = seen.asked;
  });
  expect(seen.silentMs).toBeUndefined();
  expect(seen.asked).toBeGreaterThan(60);
});

test("a thread that does not answer is silent for the time that is allowed, and a period more at the most", () => {
  const clock = manualClock();
  const { seen } = watch(clock);
  pass(clock, 2_000);
  expect(seen.silentMs).toBeUndefined();
  expect(seen.asked).toBe(1);
  pass(clock, 1_000);
  expect(seen.silentMs).toBe(2_000);
});

test("time in which this thread was busy itself does not count", () => {
  const clock = manualClock();
  let lateMs = 0;
  const late = Object.assign(Object.create(clock), { monotonic: () => clock.monotonic() + lateMs }) as ManualClock;
  const { watchdog, seen } = watch(late);
  pass(clock, 500);
  // One late timer after the other: what the thread answered may wait to be read each time.
  for (let times = 0; times < 20; times++) {
    lateMs += 5_000;
    clock.advance(500);
  }
  expect(seen.silentMs).toBeUndefined();
  watchdog.heard();
  pass(clock, 3_000);
  expect(seen.silentMs).toBe(2_000);
});

test("nobody is ended while a debugger may have halted it", () => {
  const clock = manualClock();
  const { seen } = watch(clock);
  seen.halted = true;
  pass(clock, 60_000);
  expect(seen.silentMs).toBeUndefined();
  seen.halted = false;
  pass(clock, 2_500);
  expect(seen.silentMs).toBe(2_000);
});

test("a watchdog that is off asks nothing, and one that is stopped asks no more", () => {
  const clock = manualClock();
  const off = watch(clock, Number.POSITIVE_INFINITY);
  const stopped = watch(clock);
  pass(clock, 600);
  stopped.watchdog.stop();
  pass(clock, 60_000);
  expect(off.seen.asked).toBe(0);
  expect(stopped.seen).toMatchObject({ asked: 1, silentMs: undefined });
});
