import { describe, expect, test } from "vitest";
import { dependencyGroup } from "../../../src/plugin/dependency-group.js";
import { withoutHost } from "../../../src/plugin/dependency-watch.js";
import { GroupState } from "../../../src/plugin/group-state.js";
import { OwnHealth } from "../../../src/plugin/own-health.js";
import type { DependencyState, RequiredService } from "../../../src/plugin/plugin-definition.js";
import type { ResolvedDependency } from "../../../src/plugin/resolve-definition.js";

describe("a plugin's own health", () => {
  test("is the worst of what it reports and what is held against it, with all reasons", () => {
    const health = new OwnHealth();
    const seen: string[] = [];
    health.onChange(({ state, reason }) => seen.push(`${state} ${reason}`));
    const slow = health.hold("degraded", "slow disk", []);
    const lost = health.hold("unhealthy", "no store", ["store"]);
    health.report("degraded", "tired", ["log"]);
    expect(health.current).toEqual({
      state: "unhealthy",
      reason: "tired; slow disk; no store",
      unavailableDependencies: ["log", "store"],
    });
    lost();
    lost();
    health.report("healthy", "fine", []);
    slow();
    expect(health.current).toEqual({ state: "healthy", reason: "fine", unavailableDependencies: [] });
    expect(seen).toEqual([
      "degraded slow disk",
      "unhealthy slow disk; no store",
      "unhealthy tired; slow disk; no store",
      "degraded tired; slow disk",
      "degraded slow disk",
      "healthy fine",
    ]);
  });

  test("tells a report also if nothing changes by it, because somebody may wait for one", () => {
    const health = new OwnHealth();
    let told = 0;
    health.onChange(() => told++);
    health.report("healthy", "", []);
    expect(told).toBe(1);
  });
});

type Listener = (state: DependencyState) => void;

function group(given: RequiredService, types: readonly string[] = ["echo"]) {
  const health = new OwnHealth();
  const listeners = new Map<string, Listener[]>(types.map((type) => [type, []]));
  const members = types.map((type) => ({ type }) as ResolvedDependency) as [ResolvedDependency];
  const onChangeOf = (type: string) => (listener: Listener) => {
    listeners.get(type)?.push(listener);
    return () => {};
  };
  const state = new GroupState({
    group: dependencyGroup("echo", given, members),
    watches: new Map(types.map((type) => [type, { onChange: onChangeOf(type) }])),
    health,
    onListenerError: (error) => {
      throw error;
    },
  });
  const tell = (type: string, told: DependencyState): void => {
    for (const listener of listeners.get(type) ?? []) listener(told);
  };
  return { health, state, tell };
}

const available: DependencyState = { state: "available", reason: "" };
const gone = (reason = "gone"): DependencyState => ({ state: "unavailable", reason });

describe("a dependency that is lost", () => {
  test.each([
    { given: {}, state: "degraded", why: "it is required" },
    { given: { required: false }, state: "healthy", why: "it is optional" },
    { given: { required: false, whenLost: "degraded" }, state: "degraded", why: "the plugin says so" },
    { given: { whenLost: "unhealthy" }, state: "unhealthy", why: "the plugin says so" },
    { given: { whenLost: "ignore" }, state: "healthy", why: "the plugin says so" },
  ] as const)("makes the plugin $state ($why), until it is back", ({ given, state }) => {
    const { health, tell } = group(given);
    tell("echo", gone("removed"));
    expect(health.current.state).toBe(state);
    if (state !== "healthy") {
      expect(health.current).toMatchObject({
        reason: "echo is unavailable: removed",
        unavailableDependencies: ["echo"],
      });
    }
    tell("echo", available);
    expect(health.current).toMatchObject({ state: "healthy", reason: "" });
  });

  test("does not look like a recovery when only the reason changes", () => {
    const { health, tell } = group({});
    tell("echo", gone("a"));
    const seen: string[] = [];
    health.onChange(({ state, reason }) => seen.push(`${state} ${reason}`));
    tell("echo", gone("b"));
    expect(seen.filter((text) => text.startsWith("healthy"))).toEqual([]);
    expect(health.current.reason).toBe("echo is unavailable: b");
  });

  test("is not known to be lost while there is no host", () => {
    const { health, state, tell } = group({});
    tell("echo", available);
    const lost: string[] = [];
    state.onLost(({ reason }) => lost.push(reason));
    tell("echo", withoutHost);
    expect([health.current.state, lost]).toEqual(["healthy", ["no connection to the host"]]);
  });

  test("is told at each loss and each return, and only then", () => {
    const { state, tell } = group({});
    const told: string[] = [];
    state.onLost(() => told.push("lost"));
    state.onBack(() => told.push("back"));
    tell("echo", available);
    tell("echo", gone("a"));
    tell("echo", gone("b"));
    tell("echo", { state: "degraded", reason: "slow" });
    tell("echo", available);
    tell("echo", gone());
    const off = state.onLost(() => told.push("late listener"));
    off();
    expect(told).toEqual(["lost", "back", "lost", "late listener"]);
  });

  test("of several is lost when the last is", () => {
    const { health, state, tell } = group({ anyOf: ["a", "b"] }, ["a", "b"]);
    tell("a", gone("x"));
    expect([health.current.state, state.wasThere]).toEqual(["healthy", false]);
    tell("b", available);
    tell("b", gone(""));
    expect(health.current).toEqual({
      state: "degraded",
      reason: "echo is unavailable: a: x, b: unavailable",
      unavailableDependencies: ["a", "b"],
    });
    tell("a", available);
    expect(health.current.state).toBe("healthy");
  });
});
