import { expect, test } from "vitest";
import { DependencyGraph } from "../../../src/graph/dependency-graph.js";
import type { GraphNode } from "../../../src/graph/graph-node.js";
import type { Impact } from "../../../src/graph/impact.js";
import { mayUse, needs, plugin, wasSeenUsing } from "../../support/graph-nodes.js";

const nothing: Impact = { affectedServices: [], affectedPlugins: [], optionalImpact: [] };

interface Row {
  readonly why: string;
  readonly nodes: readonly GraphNode[];
  readonly remove: string;
  readonly impact: Impact;
}

test.each<Row>([
  {
    why: "a chain breaks to its end, and the services are those of the removed plugin",
    nodes: [
      plugin("logger", ["logger"]),
      plugin("cache", ["cache"], [needs("logger")]),
      plugin("app", ["app"], [needs("cache")]),
    ],
    remove: "logger",
    impact: { ...nothing, affectedServices: ["logger"], affectedPlugins: ["cache", "app"] },
  },
  {
    why: "a service that nobody uses is gone all the same",
    nodes: [plugin("logger", ["logger"])],
    remove: "logger",
    impact: { ...nothing, affectedServices: ["logger"] },
  },
  {
    why: "a plugin that provides nothing breaks nothing",
    nodes: [plugin("logger", ["logger"]), plugin("app", [], [needs("logger")])],
    remove: "app",
    impact: nothing,
  },
  {
    why: "another provider in range saves the dependants and the type",
    nodes: [plugin("l1", ["logger@1.0.0"]), plugin("l2", ["logger@1.4.0"]), plugin("app", [], [needs("logger@1.0.0")])],
    remove: "l1",
    impact: nothing,
  },
  {
    why: "another provider out of range saves nobody, and the type counts as affected",
    nodes: [
      plugin("l1", ["logger@1.0.0"]),
      plugin("l2", ["logger@2.0.0"]),
      plugin("old-app", [], [needs("logger@^1")]),
      plugin("any-app", [], [needs("logger")]),
    ],
    remove: "l1",
    impact: { ...nothing, affectedServices: ["logger"], affectedPlugins: ["old-app"] },
  },
  {
    why: "a type whose other version nobody needs is not affected",
    nodes: [
      plugin("l1", ["logger@1.0.0", "kv"]),
      plugin("l2", ["logger@2.0.0"]),
      plugin("app", [], [needs("logger@^2")]),
    ],
    remove: "l1",
    impact: { ...nothing, affectedServices: ["kv"] },
  },
  {
    why: "another provider that breaks in turn saves nobody",
    nodes: [
      plugin("l1", ["logger", "kv"]),
      plugin("l2", ["logger"], [needs("kv")]),
      plugin("app", [], [needs("logger")]),
    ],
    remove: "l1",
    impact: { ...nothing, affectedServices: ["logger", "kv"], affectedPlugins: ["l2", "app"] },
  },
  {
    why: "optional and observed dependants are apart, and nothing follows from them",
    nodes: [
      plugin("logger", ["logger"]),
      plugin("cache", ["cache"], [mayUse("logger")]),
      plugin("proxy", ["proxy"], [wasSeenUsing("logger")]),
      plugin("app", [], [needs("cache")]),
    ],
    remove: "logger",
    impact: { ...nothing, affectedServices: ["logger"], optionalImpact: ["cache", "proxy"] },
  },
  {
    why: "an optional dependant of a plugin that breaks in turn loses something, too",
    nodes: [
      plugin("logger", ["logger"]),
      plugin("cache", ["cache"], [needs("logger")]),
      plugin("app", [], [mayUse("cache")]),
    ],
    remove: "logger",
    impact: { affectedServices: ["logger"], affectedPlugins: ["cache"], optionalImpact: ["app"] },
  },
  {
    why: "who breaks is not listed as optional as well",
    nodes: [plugin("logger", ["logger", "kv"]), plugin("app", [], [mayUse("logger"), needs("kv")])],
    remove: "logger",
    impact: { ...nothing, affectedServices: ["logger", "kv"], affectedPlugins: ["app"] },
  },
  {
    why: "an optional range that is lost makes the type affected",
    nodes: [plugin("l1", ["logger@1.0.0"]), plugin("l2", ["logger@2.0.0"]), plugin("app", [], [mayUse("logger@^1")])],
    remove: "l1",
    impact: { ...nothing, affectedServices: ["logger"], optionalImpact: ["app"] },
  },
  {
    why: "what is missing before is not lost again",
    nodes: [plugin("kv", ["kv"]), plugin("app", [], [needs("logger")])],
    remove: "kv",
    impact: { ...nothing, affectedServices: ["kv"] },
  },
  {
    why: "the service of a plugin itself does not save it",
    nodes: [plugin("logger", ["logger"]), plugin("proxy", ["logger"], [needs("logger")])],
    remove: "logger",
    impact: { ...nothing, affectedServices: ["logger"], affectedPlugins: ["proxy"] },
  },
  {
    why: "breadth comes first, then insertion",
    nodes: [
      plugin("deep", [], [needs("near")]),
      plugin("near2", [], [needs("root")]),
      plugin("near1", ["near"], [needs("root")]),
      plugin("root", ["root"]),
    ],
    remove: "root",
    impact: { ...nothing, affectedServices: ["root"], affectedPlugins: ["near2", "near1", "deep"] },
  },
  {
    why: "running plugins that need each other keep each other up",
    nodes: [plugin("seed", ["a"]), plugin("a", ["a"], [needs("b")]), plugin("b", ["b"], [needs("a")])],
    remove: "seed",
    impact: nothing,
  },
])("$why", ({ nodes, remove, impact }) => {
  const graph = new DependencyGraph();
  for (const node of nodes) graph.put(node);
  expect(graph.impact(remove)).toEqual(impact);
});

test("impact follows every change of the graph", () => {
  const graph = new DependencyGraph();
  graph.put(plugin("l1", ["logger"]));
  graph.put(plugin("app", [], [needs("logger")]));
  expect(graph.impact("l1").affectedPlugins).toEqual(["app"]);
  graph.put(plugin("l2", ["logger"]));
  expect(graph.impact("l1").affectedPlugins).toEqual([]);
  graph.remove("l2");
  expect(graph.impact("l1").affectedPlugins).toEqual(["app"]);
  graph.put(plugin("app", []));
  expect(graph.impact("l1").affectedPlugins).toEqual([]);
});
