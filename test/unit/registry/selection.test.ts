import { describe, expect, test } from "vitest";
import type { RuntimeId } from "../../../src/model/catalog.js";
import type { Provider } from "../../../src/registry/provider.js";
import { createSelector } from "../../../src/registry/selection/create-selector.js";
import { InFlightFeed } from "../../../src/registry/selection/least-in-flight.js";
import type { InFlightSource, SelectionStrategy, Selector } from "../../../src/registry/selection/selector.js";
import { weightOf } from "../../../src/registry/selection/weighted.js";
import { pluginRecord, registrationOf } from "../../support/catalog-samples.js";

const provider = (id: string, weight?: string): Provider => ({
  plugin: pluginRecord(id),
  registration: registrationOf(id, "t", "1.0.0", weight === undefined ? {} : { weight }),
});
const providers = (ids: string): Provider[] => [...ids].map((id) => provider(id));
const context = { type: "t", minVersion: "", callerId: undefined, purpose: "route" } as const;

class Load implements InFlightSource {
  readonly counts = new Map<RuntimeId, number>();
  readonly listeners = new Set<(id: RuntimeId) => void>();
  inFlightOf(id: RuntimeId): number {
    return this.counts.get(id) ?? 0;
  }
  onChange(listener: (id: RuntimeId) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
  set(id: RuntimeId, count: number): void {
    this.counts.set(id, count);
    for (const listener of this.listeners) listener(id);
  }
}

function selector(strategy: SelectionStrategy, list: Provider[], load = new Load(), errors: unknown[] = []): Selector {
  const made = createSelector(strategy, {
    random: () => 0.999,
    inFlight: new InFlightFeed(load),
    onSelectionError: (error) => errors.push(error),
  });
  made.update(list);
  return made;
}

const take = (from: Selector, count: number, exclude?: ReadonlySet<string>): string =>
  Array.from({ length: count }, () => from.choose(context, exclude)?.plugin.runtimeId ?? "-").join("");

const every: SelectionStrategy[] = [
  "first",
  "round-robin",
  "random",
  "weighted",
  "least-in-flight",
  ([one]) => one as Provider,
];

describe.each(every)("%s", (strategy) => {
  test("chooses nobody of none, the only one there is, and nobody who is excluded", () => {
    const made = selector(strategy, []);
    expect(take(made, 1)).toBe("-");
    made.update(providers("a"));
    expect(take(made, 2)).toBe("aa");
    made.update(providers("abc"));
    expect(take(made, 3, new Set(["a", "c"]))).toBe("bbb");
    expect(take(made, 1, new Set(["a", "b", "c"]))).toBe("-");
    made.close();
  });
});

test("round robin goes on behind the last that was served when the list changes", () => {
  const made = selector("round-robin", providers("abc"));
  expect(take(made, 2)).toBe("ab");
  made.update(providers("acd"));
  expect(take(made, 4)).toBe("cdac");
  made.update(providers("xac"));
  expect(take(made, 3)).toBe("xac");
});

test("random asks the source that was passed in, also among those that are left", () => {
  expect(take(selector("random", providers("abc")), 1)).toBe("c");
  expect(take(selector("random", providers("abc")), 1, new Set(["c"]))).toBe("b");
});

test("weights spread over the cycle instead of coming in blocks", () => {
  const made = selector("weighted", [provider("a", "4"), provider("b", "2"), provider("c", "1")]);
  expect(take(made, 14)).toBe("abacaba".repeat(2));
});

test.each([
  { weight: undefined, is: 1 },
  { weight: "", is: 1 },
  { weight: " 3 ", is: 3 },
  { weight: "0.5", is: 0.5 },
  { weight: "0", is: 0 },
  { weight: "-1", is: 1 },
  { weight: "many", is: 1 },
  { weight: "Infinity", is: 1 },
])("the weight $weight counts as $is", ({ weight, is }) => expect(weightOf(provider("a", weight))).toBe(is));

test("weight 0 is chosen only when nobody else is left, and then in turn", () => {
  const made = selector("weighted", [provider("a", "0"), provider("b", "2"), provider("c", "0")]);
  expect(take(made, 3)).toBe("bbb");
  expect(take(made, 4, new Set(["b"]))).toBe("acac");
});

test("a newcomer among weights neither waits nor makes up for the time before it", () => {
  const made = selector("weighted", providers("ab"));
  take(made, 100);
  made.update(providers("abc"));
  expect([...take(made, 30)].filter((id) => id === "c")).toHaveLength(10);
});

test("least in flight follows the counts, takes turns among equals, and stops listening when it is closed", () => {
  const load = new Load();
  const made = selector("least-in-flight", providers("abc"), load);
  expect(take(made, 4)).toBe("abca");
  load.set("a", 1);
  load.set("b", 2);
  load.set("c", 2);
  expect(take(made, 2)).toBe("aa");
  load.set("b", 0);
  expect(take(made, 1)).toBe("b");
  load.set("stranger", 5);
  expect(load.listeners.size).toBe(1);
  made.close();
  expect(load.listeners.size).toBe(0);
});

test.each<{ why: string; select: SelectionStrategy }>([
  { why: "throws", select: () => fail() },
  { why: "returns a stranger", select: () => provider("x") },
  { why: "returns nothing", select: () => undefined as never },
])("a function that $why is reported, and the first candidate is taken", ({ select }) => {
  const errors: unknown[] = [];
  expect(take(selector(select, providers("ab"), new Load(), errors), 1)).toBe("a");
  expect(errors).toHaveLength(1);
});

function fail(): never {
  throw new Error("no idea");
}
