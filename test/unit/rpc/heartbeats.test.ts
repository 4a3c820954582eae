import { expect, test } from "vitest";
import { LatestChannel } from "../../../src/internal/latest-channel.js";
import { withHeartbeats } from "../../../src/rpc/heartbeats.js";
import { manualClock } from "../../support/manual-clock.js";

function open(intervalMs = 1_000) {
  const clock = manualClock();
  const values = new LatestChannel<string, string>();
  const end = new AbortController();
  const stream = withHeartbeats(values, clock, intervalMs, end.signal);
  return { clock, values, end, stream };
}

/** Lets everything that is due run. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("a heartbeat comes after each interval without a value", async () => {
  const { clock, values, stream } = open();
  values.put("k", "a");
  expect((await stream.next()).value).toBe("a");
  const next = stream.next();
  await settled();
  clock.advance(999);
  await settled();
  clock.advance(1);
  expect((await next).value).toBe("heartbeat");
  clock.advance(1_000);
  expect((await stream.next()).value).toBe("heartbeat");
});

test("a value starts the interval again", async () => {
  const { clock, values, stream } = open();
  const first = stream.next();
  await settled();
  clock.advance(900);
  values.put("k", "a");
  expect((await first).value).toBe("a");
  await settled();
  clock.advance(900);
  values.put("k", "b");
  expect((await stream.next()).value).toBe("b");
});

test("without an interval only the values come, and no timer runs", async () => {
  const { clock, values, stream } = open(0);
  values.put("k", "a");
  values.close();
  expect((await stream.next()).value).toBe("a");
  expect((await stream.next()).done).toBe(true);
  expect(clock.pending).toBe(0);
});

test("the signal ends a stream that waits, and its timer", async () => {
  const { clock, end, values, stream } = open();
  const next = stream.next();
  await settled();
  end.abort();
  values.close();
  expect((await next).done).toBe(true);
  expect(clock.pending).toBe(0);
});

test("a failure of the values comes through after what came before it", async () => {
  const clock = manualClock();
  async function* failing() {
    yield "a";
    throw new Error("broken");
  }
  const stream = withHeartbeats(failing(), clock, 1_000, new AbortController().signal);
  expect((await stream.next()).value).toBe("a");
  await expect(stream.next()).rejects.toThrow("broken");
  expect(clock.pending).toBe(0);
});

test("a reader that is away for hours finds one heartbeat", async () => {
  const { clock, values, stream } = open();
  values.put("k", "a");
  await stream.next();
  clock.advance(3_600_000);
  expect((await stream.next()).value).toBe("heartbeat");
  values.put("k", "b");
  expect((await stream.next()).value).toBe("b");
});
