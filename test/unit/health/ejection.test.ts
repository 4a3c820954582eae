import { expect, test } from "vitest";
import { Ejection } from "../../../src/health/ejection.js";
import { InFlight } from "../../../src/internal/in-flight.js";
import { manualClock } from "../../support/manual-clock.js";

function start() {
  const clock = manualClock();
  const changes: (string | undefined)[] = [];
  const options = { clock, ejectAfterFailures: 3, ejectMs: 1_000, maxEjectMs: 4_000 };
  const ejection = new Ejection(options, (reason) => changes.push(reason));
  const fail = (count: number): void => {
    for (let index = 0; index < count; index++) ejection.failed("reset");
  };
  return { clock, changes, ejection, fail };
}

test("shows how many calls failed in a row, until when nobody is sent there, and that it is on trial then", () => {
  const { clock, changes, ejection, fail } = start();
  fail(2);
  expect(ejection.state).toEqual({ kind: "passing", failures: 2 });
  fail(1);
  expect(ejection.state).toEqual({ kind: "ejected", until: clock.now() + 1_000, ejections: 1 });
  expect(ejection.trial).toBeUndefined();
  clock.advance(1_000);
  expect(ejection.state).toEqual({ kind: "trial", ejections: 1 });
  expect(changes).toEqual(["ejected for 1000 ms: calls keep failing, 3 in a row: reset", undefined]);
  ejection.answered();
  expect(ejection.state).toEqual({ kind: "passing", failures: 0 });
  expect(ejection.trial).toBeUndefined();
});

test("a trial is one call for as long as it lasts, however long, and whoever came before is none", () => {
  const { clock, ejection, fail } = start();
  const calls = new InFlight();
  const [early, trial, next] = [{ abort() {} }, { abort() {} }, { abort() {} }];
  calls.enter(early);
  fail(3);
  clock.advance(1_000);
  const gate = ejection.trial;
  expect(gate?.isTaken).toBe(false);
  gate?.take(calls);
  calls.enter(trial);
  clock.advance(60_000);
  expect(gate?.isTaken).toBe(true);
  calls.leave(early);
  expect(gate?.isTaken).toBe(true);
  calls.leave(trial);
  expect(gate?.isTaken).toBe(false);
  gate?.take(calls);
  calls.enter(next);
  expect(gate?.isTaken).toBe(true);
});

test("a failed trial ejects again and longer, and says so", () => {
  const { clock, changes, ejection, fail } = start();
  fail(3);
  clock.advance(1_000);
  ejection.trial?.take(new InFlight());
  fail(1);
  expect(changes.at(-1)).toBe("ejected for 2000 ms: the trial call failed: reset");
  clock.advance(2_000);
  expect(ejection.trial?.isTaken).toBe(false);
});

test("an answer that is broken off was none: failures go on to be counted, and a trial has failed", () => {
  const { clock, ejection, fail } = start();
  fail(1);
  ejection.answered();
  ejection.broke("cut off");
  ejection.answered();
  ejection.broke("cut off");
  expect(ejection.state).toMatchObject({ kind: "ejected" });
  clock.advance(1_000);
  ejection.answered();
  ejection.broke("cut off");
  expect(ejection.state).toMatchObject({ kind: "ejected", ejections: 2 });
});

test("answers that come to their end make good what failed before, also if another is broken off later", () => {
  const { ejection, fail } = start();
  fail(2);
  ejection.answered();
  ejection.answered();
  ejection.broke("cut off");
  expect(ejection.state).toEqual({ kind: "passing", failures: 1 });
});

test("late answers to earlier calls do not end an ejection", () => {
  const { clock, ejection, fail } = start();
  fail(3);
  ejection.answered();
  expect(ejection.state.kind).toBe("ejected");
  clock.advance(1_000);
  expect(ejection.state.kind).toBe("trial");
});

test("closing cancels the timer", () => {
  const { clock, ejection, fail } = start();
  fail(3);
  ejection.close();
  expect(clock.pending).toBe(0);
});
