import { expect, test } from "vitest";
import type { PluginHostError } from "../../../src/errors.js";
import { cycleError } from "../../../src/graph/cycle.js";
import { DependencyGraph } from "../../../src/graph/dependency-graph.js";
import type { GraphNode } from "../../../src/graph/graph-node.js";
import { mayUse, needs, plugin } from "../../support/graph-nodes.js";

const graphOf = (...nodes: readonly GraphNode[]): DependencyGraph => {
  const graph = new DependencyGraph();
  for (const node of nodes) graph.put(node);
  return graph;
};

test("plugins that wait for each other are refused with the path, names for people and ids for programs", () => {
  const graph = graphOf(
    { ...plugin("a-1", ["a"], [needs("b")]), name: "a" },
    { ...plugin("b-1", ["b"], [needs("a")]), name: "b" },
  );
  const expected = expect.objectContaining({
    code: "DEPENDENCY_CYCLE",
    message: expect.stringContaining("a -> b -> a"),
    details: { path: ["a-1", "b-1", "a-1"] },
  });
  for (const ask of [() => graph.startupOrder(), () => graph.startupLevels()]) expect(ask).toThrow(expected);
  expect(graph.findCycle()).toEqual({ path: ["a-1", "b-1", "a-1"], names: ["a", "b", "a"] });
});

test.each<{ why: string; nodes: GraphNode[]; path: string[] | undefined }>([
  { why: "no cycle without plugins", nodes: [], path: undefined },
  {
    why: "who only leads to the cycle is not in the path, which begins with the plugin that was inserted first",
    nodes: [
      plugin("lead", [], [needs("c")]),
      plugin("a", ["a"], [needs("b")]),
      plugin("b", ["b"], [needs("c")]),
      plugin("c", ["c"], [needs("a")]),
    ],
    path: ["a", "b", "c", "a"],
  },
  {
    why: "a plugin that only itself could satisfy waits for itself",
    nodes: [plugin("proxy", ["logger"], [needs("logger")])],
    path: ["proxy", "proxy"],
  },
  {
    why: "an optional dependency breaks the circle",
    nodes: [plugin("a", ["a"], [needs("b")]), plugin("b", ["b"], [mayUse("a")])],
    path: undefined,
  },
  {
    why: "another provider that can start breaks the circle",
    nodes: [plugin("a", ["a"], [needs("b")]), plugin("b", ["b"], [needs("a")]), plugin("other-b", ["b"])],
    path: undefined,
  },
  {
    why: "another provider that is out of range does not",
    nodes: [plugin("a", ["a"], [needs("b@^1")]), plugin("b", ["b"], [needs("a")]), plugin("other-b", ["b@2.0.0"])],
    path: ["a", "b", "a"],
  },
  {
    why: "providers that are all stuck are a cycle",
    nodes: [plugin("a", ["a"], [needs("b")]), plugin("b1", ["b"], [needs("a")]), plugin("b2", ["b"], [needs("a")])],
    path: ["a", "b1", "a"],
  },
])("$why", ({ nodes, path }) => {
  expect(graphOf(...nodes).findCycle()?.path).toEqual(path);
  expect(new DependencyGraph().cycleWith(nodes) === undefined).toBe(path === undefined);
});

test("cycleWith tells the shortest path from the new plugin, and leaves the graph alone", () => {
  const graph = graphOf(plugin("a", ["a"], [needs("b")]), plugin("b", ["b"], [needs("c")]), plugin("unrelated", ["x"]));
  const closing = plugin("c", ["c"], [needs("a"), needs("b")]);
  expect(graph.cycleWith([closing])?.path).toEqual(["c", "b", "c"]);
  expect(graph.has("c")).toBe(false);
  expect(graph.startupOrder()).toEqual(["b", "unrelated", "a"]);
  expect(graph.dependenciesOf("b")).toEqual([]);
});

test("cycleWith sees a circle among plugins of a set that is put together", () => {
  const graph = graphOf(plugin("logger", ["logger"]));
  const set = [plugin("a", ["a"], [needs("b"), needs("logger")]), plugin("b", ["b"], [needs("a")])];
  expect(graph.cycleWith(set)?.path).toEqual(["a", "b", "a"]);
  expect(graph.cycleWith(set.slice(0, 1))).toBeUndefined();
});

test("cycleWith sees two others left waiting for each other when a plugin offers less than before", () => {
  const graph = graphOf(plugin("seed", ["a", "x"]), plugin("a", ["a"], [needs("b")]), plugin("b", ["b"], [needs("a")]));
  expect(graph.findCycle()).toBeUndefined();
  expect(graph.cycleWith([plugin("seed", ["x"])])?.path).toEqual(["a", "b", "a"]);
  expect(graph.findCycle()).toBeUndefined();
  expect(graph.ids()).toEqual(["seed", "a", "b"]);
});

test("of two circles that an update would leave, the one inserted first is named, whatever was updated in between", () => {
  const q = plugin("q", ["b"], [needs("a")]);
  const graph = graphOf(
    plugin("seed", ["a", "c"]),
    plugin("p", ["a"], [needs("b")]),
    q,
    plugin("r", ["c"], [needs("d")]),
    plugin("s", ["d"], [needs("c")]),
  );
  graph.put(q);
  expect(graph.cycleWith([plugin("seed", [])])?.path).toEqual(["p", "q", "p"]);
});

test("a path of twenty names is shown whole, a longer one is cut in the message only", () => {
  const ring = (length: number): PluginHostError => {
    const path = [...Array.from({ length }, (_, index) => `p${index}`), "p0"];
    return cycleError({ path, names: path });
  };
  expect(ring(19).message).toContain("p17 -> p18 -> p0;");
  expect(ring(30).message).toContain("p18 -> (11 more) -> p0;");
  expect(ring(30).details.path).toHaveLength(31);
});
