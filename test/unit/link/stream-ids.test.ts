import { expect, test } from "vitest";
import { StreamIds } from "../../../src/link/stream-ids.js";

test("ids begin again when they run out, without those in use", () => {
  const used = new Map([
    [1, 0],
    [5, 0],
  ]);
  const ids = new StreamIds(1, 2 ** 31 - 3);
  expect([1, 2, 3, 4].map(() => ids.next(used))).toEqual([2 ** 31 - 3, 2 ** 31 - 1, 3, 7]);
  expect(new StreamIds(2, 2 ** 31 - 2).next(new Map([[2 ** 31 - 2, 0]]))).toBe(2);
});

test("each side uses its own", () => {
  const [dialler, acceptor] = [new StreamIds(1), new StreamIds(2)];
  expect([0, 1, 2, 3, 2 ** 31].map((id) => [dialler.isPeers(id), acceptor.isPeers(id)])).toEqual([
    [false, false],
    [false, true],
    [true, false],
    [false, true],
    [false, false],
  ]);
});
