import fc from "fast-check";
import { expect, test } from "vitest";
import { DependencyGraph } from "../../src/graph/dependency-graph.js";
import type { GraphNode } from "../../src/graph/graph-node.js";
import { nodes } from "../support/graph-nodes.js";
import { bruteImpact, counts, satisfies } from "../support/graph-oracle.js";

const graphOf = (all: readonly GraphNode[]): DependencyGraph => {
  const graph = new DependencyGraph();
  for (const node of all) graph.put(node);
  return graph;
};

test("impact is the fixed point of who loses the last provider of something", () => {
  fc.assert(
    fc.property(nodes(), (all) => {
      const graph = graphOf(all);
      for (const removed of all) {
        const impact = graph.impact(removed.id);
        const expected = bruteImpact(all, removed);
        expect(impact.affectedServices).toEqual(expected.affectedServices);
        expect(new Set(impact.affectedPlugins)).toEqual(expected.affectedPlugins);
        expect(new Set(impact.optionalImpact)).toEqual(expected.optionalImpact);
        expect(impact.affectedPlugins).toHaveLength(expected.affectedPlugins.size);
        expect(impact.optionalImpact).toHaveLength(expected.optionalImpact.size);
      }
    }),
    { numRuns: 500 },
  );
});

test("a replacement misses exactly what required dependants could get before and not after", () => {
  fc.assert(
    fc.property(nodes(), nodes(1), (all, [next]) => {
      const graph = graphOf(all);
      const provides = next?.provides ?? [];
      for (const old of all) {
        const replacement: GraphNode = { id: "replacement", provides, requires: [] };
        const after = [...all.filter((node) => node !== old), replacement];
        const expected = all
          .filter((node) => node !== old)
          .flatMap((node) =>
            node.requires
              .filter((need) => counts(need) && satisfies(old, need))
              .filter((need) => !after.some((other) => other !== node && satisfies(other, need)))
              .map(({ type, minVersion }) => ({ dependant: node.id, type, minVersion })),
          );
        expect(graph.missingAfterReplace(old.id, provides)).toEqual(expected);
      }
    }),
    { numRuns: 300 },
  );
});
