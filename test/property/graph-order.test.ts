import fc from "fast-check";
import { expect, test } from "vitest";
import { DependencyGraph } from "../../src/graph/dependency-graph.js";
import type { GraphNode } from "../../src/graph/graph-node.js";
import { nodes } from "../support/graph-nodes.js";
import { bruteLevels, counts, satisfies } from "../support/graph-oracle.js";

const graphOf = (all: readonly GraphNode[]): DependencyGraph => {
  const graph = new DependencyGraph();
  for (const node of all) graph.put(node);
  return graph;
};

/** Everything that can be asked of a graph, to compare two. */
const answersOf = (graph: DependencyGraph): unknown => {
  const ids = graph.ids();
  const cycle = graph.findCycle();
  return {
    ids,
    nodes: ids.map((id) => graph.get(id)),
    dependencies: ids.map((id) => graph.dependenciesOf(id)),
    dependants: ids.map((id) => graph.dependantsOf(id)),
    impact: ids.map((id) => graph.impact(id)),
    missing: ids.map((id) => graph.missingAfterReplace(id, [])),
    unmet: ids.map((id) => graph.unmet(graph.get(id)?.requires ?? [])),
    order: cycle ?? graph.startupLevels(),
  };
};

/** Fails unless each plugin of the path really waits for the next one. */
const expectRealCycle = (all: readonly GraphNode[], path: readonly string[]): void => {
  const { stuck } = bruteLevels(all);
  const byId = new Map(all.map((node) => [node.id, node]));
  expect(path.length).toBeGreaterThan(1);
  expect(path.at(-1)).toBe(path[0]);
  expect(new Set(path).size).toBe(path.length - 1);
  for (const [index, id] of path.slice(0, -1).entries()) {
    const waiting = byId.get(id) as GraphNode;
    const next = byId.get(path[index + 1] ?? "") as GraphNode;
    const held = waiting.requires.some(
      (need) =>
        counts(need) &&
        satisfies(next, need) &&
        all.every((other) => other === waiting || !satisfies(other, need) || stuck.includes(other)),
    );
    expect(held, `${waiting.id} waits for ${next.id}`).toBe(true);
  }
};

test("startup levels are the earliest possible, and a cycle is named if and only if something can never start", () => {
  fc.assert(
    fc.property(nodes(), (all) => {
      const graph = graphOf(all);
      const { levels, stuck } = bruteLevels(all);
      const cycle = graph.findCycle();
      expect(cycle === undefined).toBe(stuck.length === 0);
      if (cycle === undefined) expect(graph.startupLevels()).toEqual(levels);
      else expectRealCycle(all, cycle.path);
    }),
    { numRuns: 500 },
  );
});

test("every required dependency that can be satisfied has a provider earlier in the startup order", () => {
  fc.assert(
    fc.property(nodes(), (all) => {
      const graph = graphOf(all);
      fc.pre(graph.findCycle() === undefined);
      const order = graph.startupOrder();
      expect([...order].sort()).toEqual(all.map(({ id }) => id).sort());
      for (const node of all) {
        const before = all.filter(({ id }) => order.indexOf(id) < order.indexOf(node.id));
        for (const need of node.requires.filter(counts)) {
          if (all.some((other) => satisfies(other, need))) {
            expect(before.some((other) => satisfies(other, need))).toBe(true);
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});

test("a graph after random puts and removals answers like one built fresh", () => {
  const operations = nodes(8).chain((first) =>
    fc.tuple(fc.constant(first), fc.array(fc.tuple(fc.boolean(), nodes(1)), { maxLength: 25 })),
  );
  fc.assert(
    fc.property(operations, ([first, changes]) => {
      const graph = graphOf(first);
      const model = new Map(first.map((node) => [node.id, node]));
      for (const [isRemoval, [node]] of changes) {
        if (node === undefined) continue;
        if (isRemoval) expect(graph.remove(node.id)).toBe(model.delete(node.id));
        else {
          graph.put(node);
          model.set(node.id, node);
        }
      }
      expect(answersOf(graph)).toEqual(answersOf(graphOf([...model.values()])));
    }),
    { numRuns: 300 },
  );
});

test("a graph in which the needs of plugins grow one by one answers like one built fresh", () => {
  fc.assert(
    fc.property(nodes(8), fc.array(fc.tuple(fc.nat(7), nodes(1), fc.boolean()), { maxLength: 20 }), (first, growth) => {
      const graph = graphOf(first);
      const model = new Map(first.map((node) => [node.id, node]));
      for (const [place, [other], alsoOffers] of growth) {
        const node = [...model.values()][place];
        if (node === undefined || other === undefined) continue;
        const grown = {
          ...node,
          provides: alsoOffers ? [...node.provides, ...other.provides] : node.provides,
          requires: [...node.requires, ...other.requires],
        };
        graph.put(grown);
        model.set(node.id, grown);
        // Also from the middle: what was linked before the growth has to go with it.
        if (place === 0) {
          graph.remove(node.id);
          graph.put(grown);
          model.delete(node.id);
          model.set(node.id, grown);
        }
      }
      expect(answersOf(graph)).toEqual(answersOf(graphOf([...model.values()])));
    }),
    { numRuns: 300 },
  );
});

test("cycleWith foretells what putting would do, names a real cycle, and changes nothing", () => {
  fc.assert(
    fc.property(nodes(7), nodes(3), (base, added) => {
      const graph = graphOf(base);
      fc.pre(graph.findCycle() === undefined);
      const before = answersOf(graph);
      const foretold = graph.cycleWith(added);
      expect(answersOf(graph)).toEqual(before);
      for (const node of added) graph.put(node);
      expect(foretold === undefined).toBe(graph.findCycle() === undefined);
      if (foretold !== undefined) {
        expectRealCycle(
          graph.ids().map((id) => graph.get(id) as GraphNode),
          foretold.path,
        );
      }
    }),
    { numRuns: 500 },
  );
});
