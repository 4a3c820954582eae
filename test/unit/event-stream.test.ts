import { expect, test } from "vitest";
import { eventNames, streamEvents } from "../../src/event-stream.js";
import { systemClock } from "../../src/internal/clock.js";
import { Emitter } from "../../src/internal/emitter.js";
import type { PlatformEvents } from "../../src/model/platform-events.js";

const warn = (events: Emitter<PlatformEvents>, message: string) =>
  events.emit("warning", { message, error: undefined });

function open() {
  const events = new Emitter<PlatformEvents>();
  const gone = new AbortController();
  const over = new AbortController();
  const ends = { gone: gone.signal, over: over.signal };
  const stream = streamEvents(events, ["warning", "warning"], systemClock, ends);
  return { events, gone, over, stream, reader: stream[Symbol.asyncIterator]() };
}

test("what happens between the call and the first read is not lost, and told once", async () => {
  const { events, reader } = open();
  warn(events, "a");
  warn(events, "b");
  expect((await reader.next()).value).toMatchObject({ name: "watching" });
  expect((await reader.next()).value).toMatchObject({ name: "warning", details: { message: "a" }, dropped: 0 });
  expect((await reader.next()).value).toMatchObject({ details: { message: "b" } });
});

test("a reader that waits is woken", async () => {
  const { events, reader } = open();
  await reader.next();
  const next = reader.next();
  warn(events, "a");
  expect((await next).value).toMatchObject({ details: { message: "a" } });
});

test("a slow reader gets the newest thousand and is told how many are missing", async () => {
  const { events, reader, over } = open();
  await reader.next();
  for (let number = 0; number < 5_000; number += 1) warn(events, String(number));
  over.abort();
  const got: { dropped: number; message: string }[] = [];
  for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
    const { dropped, details } = next.value;
    got.push({ dropped, message: (details as { message: string }).message });
  }
  expect(got).toHaveLength(1_000);
  expect(got[0]).toEqual({ dropped: 4_000, message: "4000" });
  expect(got.slice(1).every(({ dropped }) => dropped === 0)).toBe(true);
  expect(got.at(-1)?.message).toBe("4999");
});

test.each(["gone", "over"] as const)("nobody listens any more when it is %s, even if it was never read", (end) => {
  const opened = open();
  expect(opened.events.has("warning")).toBe(true);
  opened[end].abort();
  expect(opened.events.has("warning")).toBe(false);
});

test("nobody listens any more when the reader returns", async () => {
  const { events, reader } = open();
  await reader.next();
  await reader.return?.();
  expect(events.has("warning")).toBe(false);
});

test("a reader that is gone gets nothing more; one of a host that is over gets what waits", async () => {
  const left = open();
  warn(left.events, "a");
  left.gone.abort();
  expect((await left.reader.next()).done).toBe(true);
  const stopped = open();
  warn(stopped.events, "a");
  stopped.over.abort();
  expect((await stopped.reader.next()).value).toMatchObject({ name: "watching" });
  expect((await stopped.reader.next()).value).toMatchObject({ name: "warning" });
  expect((await stopped.reader.next()).done).toBe(true);
});

test("every event has its name in the list once", () => {
  expect(new Set(eventNames).size).toBe(eventNames.length);
  expect(eventNames).toContain("output");
});
