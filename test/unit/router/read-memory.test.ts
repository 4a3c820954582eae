import { expect, test } from "vitest";
import { ReadMemory, sharedMemory } from "../../../src/router/read-memory.js";

const largeBytes = 20_000;

/** A socket as Node treats it: it asks for the memory of its next read right after the one before. */
function socketOn(memory: ReadMemory) {
  let buffer: Buffer = memory.next();
  return {
    read(text: string): { readonly chunk: Buffer; readonly isLent: boolean } {
      const bytes = buffer.write(text, "latin1");
      const taken = memory.take(bytes, buffer);
      buffer = memory.next();
      return taken;
    },
  };
}

test("a connection gets what it has read, whatever others have read since it was given its memory", () => {
  const shared = sharedMemory();
  const one = socketOn(new ReadMemory(shared));
  const other = socketOn(new ReadMemory(shared));
  one.read("a".repeat(largeBytes));
  one.read("b".repeat(largeBytes));
  expect(other.read("mine").chunk.toString()).toBe("mine");
  expect(one.read("again").chunk.toString()).toBe("again");
});

test("what is not lent stays as it is, whoever reads later", () => {
  const shared = sharedMemory();
  const one = socketOn(new ReadMemory(shared));
  const other = socketOn(new ReadMemory(shared));
  const kept: Buffer[] = [];
  for (const letter of "abcd") {
    const { chunk, isLent } = one.read(letter.repeat(largeBytes));
    if (!isLent) kept.push(chunk);
  }
  expect(kept.length).toBeGreaterThan(1);
  const before = kept.map((chunk) => chunk.toString());
  for (let read = 0; read < 3; read++) {
    other.read("x".repeat(largeBytes));
    one.read("y".repeat(largeBytes));
    one.read("z");
  }
  expect(kept.map((chunk) => chunk.toString())).toEqual(before);
});

test("small reads are lent from the memory that all share, and so is the first large one", () => {
  const one = socketOn(new ReadMemory(sharedMemory()));
  expect([one.read("small"), one.read("a".repeat(largeBytes))].map(({ isLent }) => isLent)).toEqual([true, true]);
  expect(one.read("a".repeat(largeBytes)).isLent).toBe(false);
});
