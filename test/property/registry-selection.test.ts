import fc from "fast-check";
import semver from "semver";
import { expect, test } from "vitest";
import { compileVersionRange } from "../../src/model/versions.js";
import type { Provider } from "../../src/registry/provider.js";
import { InFlightFeed, LeastInFlightSelector } from "../../src/registry/selection/least-in-flight.js";
import { RoundRobinSelector } from "../../src/registry/selection/round-robin.js";
import type { Selector } from "../../src/registry/selection/selector.js";
import { WeightedSelector } from "../../src/registry/selection/weighted.js";
import { pluginRecord, registrationOf } from "../support/catalog-samples.js";

const context = { type: "t", minVersion: "", callerId: undefined, purpose: "route" } as const;

const provider = (id: string, weight = 1): Provider => ({
  plugin: pluginRecord(id),
  registration: registrationOf(id, "t", "1.0.0", { weight: String(weight) }),
});

const choose = (from: Selector, exclude?: ReadonlySet<string>): string =>
  from.choose(context, exclude)?.plugin.runtimeId ?? "";

function counted(ids: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

test("round robin gives everybody the same number of turns, wherever a round is cut and whatever the lists were before", () => {
  const list = fc.uniqueArray(fc.constantFrom(..."abcdefgh"), { minLength: 1 });
  fc.assert(
    fc.property(fc.array(fc.tuple(list, fc.nat(20))), list, fc.nat(50), (earlier, last, extra) => {
      const selector = new RoundRobinSelector();
      for (const [ids, turns] of earlier) {
        selector.update(ids.map((id) => provider(id)));
        for (let i = 0; i < turns; i++) choose(selector);
      }
      selector.update(last.map((id) => provider(id)));
      for (let i = 0; i < extra; i++) choose(selector);
      const round = Array.from({ length: last.length * 2 }, () => choose(selector));
      expect(counted(round)).toEqual(counted([...last, ...last].sort((a, b) => round.indexOf(a) - round.indexOf(b))));
    }),
  );
});

test("weighted gives each exactly its weight in every cycle, and in each part of a cycle nearly its share", () => {
  const weights = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(
      weights.filter((all) => all.some((weight) => weight > 0)),
      (all) => {
        const selector = new WeightedSelector();
        selector.update(all.map((weight, i) => provider(`p${i}`, weight)));
        const sum = all.reduce((a, b) => a + b, 0);
        for (let cycle = 0; cycle < 3; cycle++) {
          const counts = new Map<string, number>();
          for (let i = 1; i <= sum; i++) {
            const id = choose(selector);
            counts.set(id, (counts.get(id) ?? 0) + 1);
            all.forEach((weight, n) => {
              const off = Math.abs((counts.get(`p${n}`) ?? 0) - (i * weight) / sum);
              expect(off).toBeLessThanOrEqual(Math.max(1, all.length / 2));
            });
          }
          all.forEach((weight, n) => expect(counts.get(`p${n}`) ?? 0).toBe(weight));
        }
      },
    ),
  );
});

test("least in flight always picks a minimum of those that are not excluded", () => {
  const ids = [..."abcdefgh"];
  const step = fc.record({
    id: fc.constantFrom(...ids),
    count: fc.nat(5),
    exclude: fc.subarray(ids, { maxLength: 5 }),
    list: fc.option(fc.subarray(ids, { minLength: 1 }), { freq: 5 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const counts = new Map<string, number>();
      let changed: (id: string) => void = () => {};
      const selector = new LeastInFlightSelector(
        new InFlightFeed({
          inFlightOf: (id) => counts.get(id) ?? 0,
          onChange: (listener) => {
            changed = listener;
            return () => {};
          },
        }),
      );
      let present = ids;
      selector.update(present.map((id) => provider(id)));
      for (const { id, count, exclude, list } of steps) {
        counts.set(id, count);
        changed(id);
        if (list !== null) {
          present = list;
          selector.update(present.map((one) => provider(one)));
        }
        const allowed = present.filter((one) => !exclude.includes(one));
        const chosen = choose(selector, new Set(exclude));
        if (allowed.length === 0) expect(chosen).toBe("");
        else {
          expect(allowed).toContain(chosen);
          expect(counts.get(chosen) ?? 0).toBe(Math.min(...allowed.map((one) => counts.get(one) ?? 0)));
        }
      }
    }),
  );
});

test("a compiled range answers as semver does: a complete version is a minimum, anything else an npm range", () => {
  const number = fc.integer({ min: 0, max: 12 });
  const pre = fc.constantFrom("", "", "-rc.1", "-alpha", "-1", "+b1");
  const version = fc.tuple(number, number, number, pre).map(([a, b, c, tail]) => `${a}.${b}.${c}${tail}`);
  const partial = fc.oneof(
    version,
    number.map(String),
    fc.tuple(number, number).map((parts) => parts.join(".")),
    number.map((n) => `${n}.x`),
  );
  const range = fc
    .tuple(fc.constantFrom("^", "~", ">=", "<", ">", "<=", "="), partial, fc.constantFrom("", " || "), partial)
    .map(([operator, a, or, b]) => (or === "" ? `${operator}${a}` : `${operator}${a}${or}${b}`));
  fc.assert(
    fc.property(version, fc.oneof(version, partial, range), (have, wanted) => {
      const expected =
        semver.valid(wanted) === wanted.replace(/\+.*$/, "") && /^\d/.test(wanted)
          ? semver.gte(have, wanted)
          : semver.satisfies(have, wanted);
      expect(compileVersionRange("minVersion", wanted)(have)).toBe(expected);
    }),
    { numRuns: 1000 },
  );
});
