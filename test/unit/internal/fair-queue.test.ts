import { describe, expect, test } from "vitest";
import { FairQueue } from "../../../src/internal/fair-queue.js";

function served(queue: FairQueue<string>, ownerOf = (item: string) => item[0] ?? ""): string[] {
  const order: string[] = [];
  for (let next = queue.first(); next !== undefined; next = queue.first()) {
    order.push(next);
    queue.served(ownerOf(next), next);
  }
  return order;
}

describe("a fair queue", () => {
  test("serves the items of one owner in their order, and owners in turn", () => {
    const queue = new FairQueue<string>();
    for (const item of ["a1", "a2", "a3", "b1", "c1", "b2"]) queue.offer(item[0] ?? "", item, 10);
    expect(queue.heads()).toEqual(["a1", "b1", "c1"]);
    expect(served(queue)).toEqual(["a1", "b1", "c1", "a2", "b2", "a3"]);
    expect(queue.size).toBe(0);
  });

  test("drops the last item of whoever has most for one who has fewer, and refuses everybody else", () => {
    const queue = new FairQueue<string>();
    for (const item of ["a1", "a2", "a3"]) expect(queue.offer("a", item, 3)).toEqual({ kind: "joined" });
    expect(queue.offer("a", "a4", 3)).toEqual({ kind: "full" });
    expect(queue.offer("b", "b1", 3)).toEqual({ kind: "instead", dropped: "a3" });
    // Now a has 2 and b has 1: to change that would only turn it round.
    expect(queue.offer("b", "b2", 3)).toEqual({ kind: "full" });
    expect(queue.offer("c", "c1", 3)).toEqual({ kind: "instead", dropped: "a2" });
    expect(queue.offer("d", "d1", 3)).toEqual({ kind: "full" });
    expect(served(queue)).toEqual(["a1", "b1", "c1"]);
  });

  test("keeps the turns when items are taken out, and forgets owners without items", () => {
    const queue = new FairQueue<string>();
    for (const item of ["a1", "a2", "b1"]) queue.add(item[0] ?? "", item);
    expect(queue.delete("a", "a1")).toBe(true);
    expect(queue.delete("a", "a1")).toBe(false);
    expect(queue.items()).toEqual(["a2", "b1"]);
    expect(queue.delete("a", "a2")).toBe(true);
    expect(queue.heads()).toEqual(["b1"]);
    expect(queue.size).toBe(1);
  });
});
