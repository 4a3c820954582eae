import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { RequestDrain } from "../../../src/http/request-drain.js";
import type { Clock } from "../../../src/internal/clock.js";

function setUp() {
  const timers = new Set<() => void>();
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    after(_delayMs, fire) {
      timers.add(fire);
      return { cancel: () => void timers.delete(fire) };
    },
  };
  const body = new Readable({ read() {} });
  // As a reader leaves it that was held up.
  body.pause();
  const results: boolean[] = [];
  const drain = new RequestDrain(body, { maxBytes: 10, timeoutMs: 1 }, clock, (exceeded) => results.push(exceeded));
  return { timers, body, results, drain };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("the end of the request ends it, and its timer", async () => {
  const { timers, body, results, drain } = setUp();
  drain.answerSent();
  expect(timers.size).toBe(1);
  body.push("abc");
  body.push(null);
  await turn();
  expect(results).toEqual([false]);
  expect(timers.size).toBe(0);
});

test("before the answer is out nothing is cut, but no more than the limit is read", async () => {
  const { body, results, drain } = setUp();
  body.push("x".repeat(11));
  await turn();
  expect(results).toEqual([]);
  expect(body.isPaused()).toBe(true);
  drain.answerSent();
  expect(results).toEqual([true]);
});

test("too much after the answer is told once", async () => {
  const { timers, body, results, drain } = setUp();
  drain.answerSent();
  body.push("x".repeat(8));
  await turn();
  expect(results).toEqual([]);
  body.push("x".repeat(8));
  body.push("x".repeat(8));
  await turn();
  expect(results).toEqual([true]);
  expect(timers.size).toBe(0);
});

test("too late after the answer is told", () => {
  const { timers, results, drain } = setUp();
  drain.answerSent();
  for (const fire of timers) fire();
  expect(results).toEqual([true]);
});

test("readers of the body get nothing more", async () => {
  const body = new Readable({ read() {} });
  let read = "";
  body.on("readable", () => {
    read += body.read() ?? "";
  });
  body.on("data", (chunk: Buffer) => {
    read += chunk;
  });
  new RequestDrain(
    body,
    { maxBytes: 10, timeoutMs: 1 },
    { now: () => 0, monotonic: () => 0, after: () => ({ cancel() {} }) },
    () => {},
  );
  body.push("abc");
  body.push(null);
  await turn();
  expect(read).toBe("");
  expect(body.readableEnded).toBe(true);
});
