import { once } from "node:events";
import type { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { connectInMemory } from "../../../src/http/memory-connection.js";

const textOf = async (socket: Duplex): Promise<string> => {
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  await once(socket, "end");
  return text;
};

test("bytes go both ways, in order", async () => {
  const [one, other] = connectInMemory();
  one.write("a");
  one.cork();
  one.write("b");
  one.write("c");
  one.uncork();
  one.end("d");
  expect(await textOf(other)).toBe("abcd");
});

test("a side that has ended can still read", async () => {
  const [one, other] = connectInMemory();
  one.end();
  other.resume();
  await once(other, "end");
  other.end("answer");
  expect(await textOf(one)).toBe("answer");
});

test("both are closed when both have ended", async () => {
  const [one, other] = connectInMemory();
  const closed = Promise.all([once(one, "close"), once(other, "close")]);
  one.resume().end();
  other.resume().end();
  await closed;
  expect(one.destroyed && other.destroyed).toBe(true);
});

test("never delivers on the writer's stack", async () => {
  const [one, other] = connectInMemory();
  let delivered = false;
  other.on("data", () => {
    delivered = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  one.write("a");
  expect(delivered).toBe(false);
});

test("a reader that does not read holds the writer up, with a bounded amount under way", async () => {
  const [one, other] = connectInMemory();
  const block = Buffer.alloc(64 * 1024);
  let taken = 0;
  for (let round = 0; round < 200; round++) {
    if (!one.writableNeedDrain) {
      one.write(block);
      taken += 1;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(taken).toBeGreaterThan(1);
  expect(taken * block.length).toBeLessThan(2 * 1024 * 1024);
  const drained = once(one, "drain");
  other.resume();
  await drained;
});

test("destroying a side that has not ended destroys the other with ECONNRESET", async () => {
  const [one, other] = connectInMemory();
  const cause = new Error("why");
  one.on("error", () => {});
  const failed = once(other, "error");
  one.destroy(cause);
  expect(await failed).toMatchObject([{ code: "ECONNRESET", cause }]);
});

test("writing to a side that has gone after its end fails", async () => {
  const [one, other] = connectInMemory();
  one.end();
  await once(one, "finish");
  one.destroy();
  await once(one, "close");
  await new Promise((resolve) => setImmediate(resolve));
  const failed = once(other, "error");
  other.write("late");
  expect(await failed).toMatchObject([{ code: "ECONNRESET" }]);
});

test("a write that waits for the reader fails when the reader goes", async () => {
  const [one, other] = connectInMemory();
  one.write(Buffer.alloc(2 * 1024 * 1024));
  const failed = new Promise((resolve) => one.write(Buffer.alloc(1), resolve));
  one.on("error", () => {});
  await new Promise((resolve) => setImmediate(resolve));
  other.destroy();
  expect(await failed).toMatchObject({ code: "ECONNRESET" });
});

test("two ends that always answer each other leave turns of the event loop to others", async () => {
  const [one, other] = connectInMemory();
  let answers = 0;
  other.on("data", (chunk: Buffer) => other.write(chunk));
  one.on("data", (chunk: Buffer) => {
    answers += 1;
    if (answers < 10_000) one.write(chunk);
  });
  one.write("a");
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  expect(answers).toBeLessThan(10_000);
  one.destroy();
});
