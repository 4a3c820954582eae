import { expect, test } from "vitest";
import { PluginHostError } from "../../../src/errors.js";
import { dialAgain } from "../../../src/lifecycle/dial-again.js";
import { manualClock } from "../../support/manual-clock.js";

const unreachable = () => new PluginHostError("PLUGIN_UNREACHABLE", "refused");
const settled = () => new Promise(setImmediate);

function dialled(attempt: (count: number) => Promise<string>, graceMs = 1_000) {
  const clock = manualClock();
  const controller = new AbortController();
  let count = 0;
  const result = dialAgain(clock, graceMs, controller.signal, () => attempt(++count));
  result.catch(() => {});
  return { clock, controller, result, count: () => count };
}

test("the first answer is the result", async () => {
  const { result, clock } = dialled(async () => "hello");
  expect(await result).toBe("hello");
  expect(clock.pending).toBe(0);
});

test("a refused connection is tried again, ever less often", async () => {
  const { result, clock, count } = dialled(async (n) => (n < 7 ? Promise.reject(unreachable()) : "hello"));
  for (const delayMs of [10, 20, 40, 80, 160, 200]) {
    await settled();
    expect(clock.delays()).toEqual([delayMs]);
    clock.advance(delayMs);
  }
  expect(await result).toBe("hello");
  expect(count()).toBe(7);
});

test("until the grace is over; then the last failure is the result", async () => {
  const { result, clock, count } = dialled(() => Promise.reject(unreachable()), 45);
  for (let i = 0; i < 5; i++) {
    await settled();
    clock.advance(20);
  }
  await expect(result).rejects.toMatchObject({ code: "PLUGIN_UNREACHABLE" });
  expect(count()).toBe(3);
  expect(clock.pending).toBe(0);
});

test("any other failure is the result at once", async () => {
  const { result, count } = dialled(() => Promise.reject(new PluginHostError("PLUGIN_PROTOCOL", "odd")));
  await expect(result).rejects.toMatchObject({ code: "PLUGIN_PROTOCOL" });
  expect(count()).toBe(1);
});

test("the signal ends the waiting", async () => {
  const { result, controller, clock } = dialled(() => Promise.reject(unreachable()));
  await settled();
  controller.abort(new Error("enough"));
  await expect(result).rejects.toThrow("enough");
  expect(clock.pending).toBe(0);
});
