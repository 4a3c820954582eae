import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { BodyCutError, BodyReader } from "../../../src/http/body-reader.js";

const body = () => new Readable({ read() {} });
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("reads to the end, whether chunks are there already or come later", async () => {
  const stream = body();
  stream.push("a");
  const reader = new BodyReader(stream);
  expect(String((await reader.next()).value)).toBe("a");
  const later = reader.next();
  stream.push("b");
  expect(String((await later).value)).toBe("b");
  stream.push(null);
  expect(await reader.next()).toEqual({ done: true, value: undefined });
  expect(await reader.next()).toEqual({ done: true, value: undefined });
});

test("a reader that stops early leaves the stream alone, for others to read", async () => {
  const stream = body();
  stream.push("a");
  for await (const _chunk of new BodyReader(stream)) break;
  await turn();
  expect(stream.destroyed).toBe(false);
  expect(stream.listenerCount("readable")).toBe(0);
  let rest = "";
  stream.on("data", (chunk: Buffer) => {
    rest += chunk;
  });
  stream.resume();
  stream.push("b");
  await turn();
  expect(rest).toBe("b");
});

test("a body that breaks off rejects, also one that had broken off before", async () => {
  const stream = body();
  const reader = new BodyReader(stream);
  const next = reader.next();
  stream.destroy(new Error("why"));
  await expect(next).rejects.toThrow(BodyCutError);
  await expect(new BodyReader(stream).next()).rejects.toThrow(BodyCutError);
});

test("nothing is read before it is asked for", async () => {
  let reads = 0;
  const stream = new Readable({
    read() {
      reads += 1;
    },
  });
  const reader = new BodyReader(stream);
  await turn();
  expect(reads).toBe(0);
  void reader.next();
  await turn();
  expect(reads).toBe(1);
});
