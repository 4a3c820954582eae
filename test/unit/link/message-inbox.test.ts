import { expect, test } from "vitest";
import type { LinkStream } from "../../../src/link/link-stream.js";
import { MessageInbox } from "../../../src/link/message-inbox.js";

function inbox(onLeave?: () => void) {
  let consumed = 0;
  const stream = { consume: () => void consumed++ } as unknown as LinkStream;
  const messages = new MessageInbox(
    () => stream,
    (bytes) => Buffer.from(bytes).toString(),
    onLeave,
  );
  return { messages, push: (text: string) => messages.push(Buffer.from(text)), consumed: () => consumed };
}

test("gives messages in order, to readers before and after them, and room only when all are read", async () => {
  const { messages, push, consumed } = inbox();
  const early = [messages.next(), messages.next()];
  push("a");
  push("b");
  expect(await Promise.all(early)).toEqual([
    { done: false, value: "a" },
    { done: false, value: "b" },
  ]);
  const before = consumed();
  push("c");
  push("d");
  expect((await messages.next()).value).toBe("c");
  expect(consumed()).toBe(before);
  expect((await messages.next()).value).toBe("d");
  expect(consumed()).toBe(before + 1);
});

test("an error comes after what was there, once; cut, it comes at once", async () => {
  const failed = inbox();
  failed.push("a");
  failed.messages.fail(new Error("late"));
  expect((await failed.messages.next()).value).toBe("a");
  await expect(failed.messages.next()).rejects.toThrow("late");
  expect((await failed.messages.next()).done).toBe(true);
  const cut = inbox();
  cut.push("a");
  cut.messages.end();
  cut.messages.cut(new Error("now"));
  await expect(cut.messages.next()).rejects.toThrow("now");
});

test("a reader who leaves early says so, and what comes later is dropped", async () => {
  let left = 0;
  const { messages, push } = inbox(() => void left++);
  push("a");
  await messages.return();
  push("b");
  expect((await messages.next()).done).toBe(true);
  expect(left).toBe(1);
  await messages.return();
  expect(left).toBe(1);
});

test("keeps its own copy of a message", async () => {
  const { messages } = inbox();
  const bytes = Buffer.from("abc");
  messages.push(bytes);
  bytes.fill(0);
  expect((await messages.next()).value).toBe("abc");
});
