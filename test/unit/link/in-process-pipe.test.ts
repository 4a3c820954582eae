import { expect, test } from "vitest";
import { MessagePipe } from "../../../src/link/in-process-pipe.js";

/** Writes as much as there is room for. */
async function fill(pipe: MessagePipe<number>): Promise<{ readonly written: number; readonly room: Promise<void> }> {
  for (let written = 1; ; written++) {
    const room = pipe.put(written);
    if (room !== undefined) return { written, room };
  }
}

test("the writer waits when many messages are unread, and goes on when one is read", async () => {
  const pipe = new MessagePipe<number>();
  const { written, room } = await fill(pipe);
  expect(written).toBe(16);
  let hasRoom = false;
  void room.then(() => {
    hasRoom = true;
  });
  await undefined;
  expect(hasRoom).toBe(false);
  expect(await pipe.next()).toEqual({ done: false, value: 1 });
  await room;
});

test("the reader gets everything in order, and then the end", async () => {
  const pipe = new MessagePipe<number>();
  const read: number[] = [];
  const reading = (async () => {
    for await (const message of pipe) read.push(message);
  })();
  for (let message = 0; message < 100; message++) await pipe.put(message);
  pipe.end();
  await reading;
  expect(read).toEqual(Array.from({ length: 100 }, (_, message) => message));
});

test("an error comes after what was written before it, once, and nothing after it", async () => {
  const pipe = new MessagePipe<number>();
  void pipe.put(1);
  pipe.fail(new Error("broken"));
  void pipe.put(2);
  pipe.end();
  expect((await pipe.next()).value).toBe(1);
  await expect(pipe.next()).rejects.toThrow("broken");
  expect((await pipe.next()).done).toBe(true);
});

test("a pipe that is cut gives the error at once, also to a reader who waits", async () => {
  const pipe = new MessagePipe<number>();
  void pipe.put(1);
  pipe.end();
  pipe.cut(new Error("cut"));
  await expect(pipe.next()).rejects.toThrow("cut");
  const other = new MessagePipe<number>();
  const waiting = other.next();
  other.cut(new Error("cut"));
  await expect(waiting).rejects.toThrow("cut");
});

test("a reader who leaves frees the writer, and everybody finds the pipe closed", async () => {
  const pipe = new MessagePipe<number>();
  const { room } = await fill(pipe);
  await pipe.return();
  await room;
  expect(pipe.isClosed).toBe(true);
  expect(pipe.put(1)).toBeUndefined();
  expect((await pipe.next()).done).toBe(true);
});
