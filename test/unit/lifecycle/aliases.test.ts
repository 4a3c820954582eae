import { expect, test } from "vitest";
import { Aliases } from "../../../src/lifecycle/aliases.js";
import type { Change } from "../../../src/model/catalog.js";
import { manualClock } from "../../support/manual-clock.js";

const shown = (changes: readonly Change[]): string[] =>
  changes.map((change) =>
    change.kind === "alias-put"
      ? `${change.from} -> ${change.to}`
      : `${change.kind} ${"from" in change ? change.from : ""}`,
  );

function aliased() {
  const clock = manualClock();
  const applied: string[] = [];
  const aliases = new Aliases({ clock, lifeMs: 1_000, apply: (changes) => applied.push(...shown(changes)) });
  return { clock, applied, aliases, ended: (id: string) => shown(aliases.changesAfterEndOf(id)) };
}

test("an old id leads to the new plugin until its time is up", () => {
  const { aliases, clock, applied } = aliased();
  expect(shown([aliases.add("old", "new", [])])).toEqual(["old -> new"]);
  clock.advance(999);
  expect(applied).toEqual([]);
  clock.advance(1);
  expect(applied).toEqual(["alias-removed old"]);
  expect(clock.pending).toBe(0);
});

test("it ends with the plugin behind it", () => {
  const { aliases, ended, clock } = aliased();
  aliases.add("old", "new", ["other"]);
  expect(ended("new")).toEqual(["alias-removed old"]);
  expect(clock.pending).toBe(0);
});

test("it ends with the last plugin that may hold it; the two of the replacement do not count", () => {
  const { aliases, ended } = aliased();
  aliases.add("old", "new", ["a", "old", "b", "new"]);
  expect(ended("old")).toEqual([]);
  expect(ended("a")).toEqual([]);
  expect(ended("stranger")).toEqual([]);
  expect(ended("b")).toEqual(["alias-removed old"]);
});

test("where no plugin may hold it, somebody else may, so that time alone ends it", () => {
  const { aliases, ended, clock, applied } = aliased();
  aliases.add("old", "new", ["old", "new"]);
  expect(ended("old")).toEqual([]);
  clock.advance(1_000);
  expect(applied).toEqual(["alias-removed old"]);
});

test("what led to a replaced plugin leads to the next one, and ends with it", () => {
  const { aliases, ended } = aliased();
  aliases.add("1", "2", ["other"]);
  aliases.add("2", "3", ["other"]);
  expect(ended("2")).toEqual([]);
  expect(ended("3")).toEqual(["alias-removed 1", "alias-removed 2"]);
});

test("each has a time of its own", () => {
  const { aliases, clock, applied } = aliased();
  aliases.add("1", "2", []);
  clock.advance(600);
  aliases.add("2", "3", []);
  clock.advance(400);
  expect(applied).toEqual(["alias-removed 1"]);
  clock.advance(600);
  expect(applied).toEqual(["alias-removed 1", "alias-removed 2"]);
});

test("what a plugin holds that turned out to be another one is held by that one", () => {
  const { aliases, ended } = aliased();
  aliases.add("old", "new", ["a"]);
  aliases.passOn("a", "b");
  expect(ended("a")).toEqual([]);
  expect(ended("b")).toEqual(["alias-removed old"]);
});

test("close cancels every timer", () => {
  const { aliases, clock, applied } = aliased();
  aliases.add("1", "2", []);
  aliases.add("3", "4", []);
  aliases.close();
  clock.advance(5_000);
  expect({ pending: clock.pending, applied }).toEqual({ pending: 0, applied: [] });
});
