import { expect, test } from "vitest";
import { InFlight } from "../../../src/internal/in-flight.js";

const entry = (aborted: string[] = [], name = "") => ({ abort: () => void aborted.push(name) });

test("entries count from their coming to their going, and going twice is going once", () => {
  const calls = new InFlight();
  const [one, two, three] = [entry(), entry(), entry()];
  for (const call of [one, two, three, two]) calls.enter(call);
  expect(calls.count).toBe(3);
  calls.leave(one);
  calls.leave(one);
  expect(calls.count).toBe(2);
  calls.leave(three);
  calls.leave(two);
  expect(calls.count).toBe(0);
  calls.enter(one);
  expect(calls.count).toBe(1);
});

test("an entry moves from one list to another without being nowhere in between, and back", () => {
  const [before, after] = [new InFlight(), new InFlight()];
  const call = entry();
  before.enter(call);
  after.enter(call);
  expect([before.count, after.count]).toEqual([1, 1]);
  before.leave(call);
  // As a call that is tried again at the same provider does.
  after.enter(call);
  expect([before.count, after.count]).toEqual([0, 1]);
  before.enter(call);
  after.leave(call);
  expect([before.count, after.count]).toEqual([1, 0]);
  before.leave(call);
  expect([before.count, after.count]).toEqual([0, 0]);
});

test("whoever waits for the last to go is told then, and everybody can be aborted", async () => {
  const calls = new InFlight();
  const other = new InFlight();
  const aborted: string[] = [];
  const [one, visitor] = [entry(aborted, "one"), entry(aborted, "visitor")];
  const changes: number[] = [];
  calls.onChange = () => changes.push(calls.count);
  calls.enter(one);
  other.enter(visitor);
  calls.enter(visitor);
  let idle = false;
  const waiting = calls.whenIdle().then(() => {
    idle = true;
  });
  calls.abortAll(new Error("over"));
  expect(aborted).toEqual(["one", "visitor"]);
  calls.leave(one);
  await undefined;
  expect(idle).toBe(false);
  calls.leave(visitor);
  await waiting;
  expect(changes).toEqual([1, 2, 1, 0]);
});

test("newcomers are those that have entered since they began to be counted, in any list, until they leave", () => {
  const [calls, other] = [new InFlight(), new InFlight()];
  const [early, visitor, late] = [entry(), entry(), entry()];
  calls.enter(early);
  other.enter(visitor);
  calls.countNewcomers();
  expect(calls.newcomers).toBe(0);
  for (const call of [visitor, late, late]) calls.enter(call);
  expect(calls.newcomers).toBe(2);
  calls.leave(early);
  calls.leave(visitor);
  expect(calls.newcomers).toBe(1);
  calls.countNewcomers();
  calls.leave(late);
  expect(calls.newcomers).toBe(0);
});
