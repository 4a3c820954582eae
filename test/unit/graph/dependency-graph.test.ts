import { describe, expect, test } from "vitest";
import { PluginHostError } from "../../../src/errors.js";
import { DependencyGraph } from "../../../src/graph/dependency-graph.js";
import type { GraphNode } from "../../../src/graph/graph-node.js";
import { mayUse, needs, plugin, wasSeenUsing } from "../../support/graph-nodes.js";

const graphOf = (...nodes: readonly GraphNode[]): DependencyGraph => {
  const graph = new DependencyGraph();
  for (const node of nodes) graph.put(node);
  return graph;
};

const errorOf = (run: () => unknown): PluginHostError => {
  try {
    run();
  } catch (error) {
    if (error instanceof PluginHostError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

describe("nodes and edges", () => {
  test("edges appear whichever of the two plugins is put first", () => {
    const cache = plugin("cache", ["cache"], [needs("logger")]);
    const logger = plugin("logger", ["logger"]);
    for (const graph of [graphOf(cache, logger), graphOf(logger, cache)]) {
      expect(graph.dependenciesOf("cache")).toEqual(["logger"]);
      expect(graph.dependantsOf("logger")).toEqual(["cache"]);
    }
  });

  test("optional and observed dependencies are edges, too, and providers outside of the range are not", () => {
    const graph = graphOf(
      plugin("v1", ["logger@1.4.0"]),
      plugin("v2", ["logger@2.0.0"]),
      plugin("app", [], [mayUse("logger@^2"), wasSeenUsing("metrics")]),
      plugin("metrics", ["metrics"]),
    );
    expect(graph.dependenciesOf("app")).toEqual(["v2", "metrics"]);
    expect(graph.dependantsOf("v1")).toEqual([]);
  });

  test("a plugin that provides several versions of a type satisfies ranges with any of them", () => {
    const graph = graphOf(plugin("both", ["kv@1.0.0", "kv@2.0.0"]), plugin("old", [], [needs("kv@^1")]));
    expect(graph.dependantsOf("both")).toEqual(["old"]);
  });

  test("a plugin is never its own dependency", () => {
    const graph = graphOf(plugin("proxy", ["logger"], [needs("logger")]), plugin("logger", ["logger"]));
    expect(graph.dependenciesOf("proxy")).toEqual(["logger"]);
    expect(graph.startupOrder()).toEqual(["logger", "proxy"]);
  });

  test("an update keeps the plugin's place and moves its edges", () => {
    const graph = graphOf(plugin("a", ["x"]), plugin("b", [], [needs("x")]), plugin("c", [], [needs("y")]));
    graph.put(plugin("a", ["y"]));
    expect(graph.ids()).toEqual(["a", "b", "c"]);
    expect(graph.dependantsOf("a")).toEqual(["c"]);
    expect(graph.dependenciesOf("b")).toEqual([]);
  });

  test("removing answers whether the plugin was there, and takes its edges along", () => {
    const graph = graphOf(plugin("logger", ["logger"]), plugin("cache", [], [needs("logger")]));
    expect(graph.remove("logger")).toBe(true);
    expect(graph.remove("logger")).toBe(false);
    expect(graph.has("logger")).toBe(false);
    expect(graph.get("logger")).toBeUndefined();
    expect(graph.dependenciesOf("cache")).toEqual([]);
  });

  test("a node with a range that is none is refused by field, and the graph stays as it was", () => {
    const graph = graphOf(plugin("logger", ["logger"]));
    const bad = plugin("logger", [], [needs("x"), needs("y@not a range!")]);
    for (const run of [() => graph.put(bad), () => graph.cycleWith([bad]), () => graph.unmet(bad.requires)]) {
      expect(errorOf(run)).toMatchObject({ code: "INVALID_ARGUMENT", field: "requires[1].minVersion" });
    }
    expect(graph.get("logger")?.provides).toHaveLength(1);
  });

  test("questions about a plugin that is not there are refused", () => {
    const graph = new DependencyGraph();
    const questions = [
      () => graph.impact("gone"),
      () => graph.dependenciesOf("gone"),
      () => graph.dependantsOf("gone"),
      () => graph.missingAfterReplace("gone", []),
    ];
    for (const ask of questions) expect(errorOf(ask)).toMatchObject({ code: "PLUGIN_NOT_FOUND" });
  });

  test.each(["10", "constructor", "__proto__", "a\u0001b", ""])("the id %j is as good as any other", (id) => {
    const graph = new DependencyGraph();
    expect(graph.has(id)).toBe(false);
    graph.put(plugin("first", [], [needs("x")]));
    graph.put(plugin(id, ["x"]));
    expect(graph.ids()).toEqual(["first", id]);
    expect(graph.dependenciesOf("first")).toEqual([id]);
    expect(graph.impact(id).affectedPlugins).toEqual(["first"]);
  });
});

describe("startup order", () => {
  test.each<{ why: string; nodes: GraphNode[]; levels: string[][] }>([
    { why: "an empty graph has no levels", nodes: [], levels: [] },
    {
      why: "providers come before dependants, whatever the order of insertion",
      nodes: [
        plugin("app", [], [needs("cache")]),
        plugin("cache", ["cache"], [needs("logger")]),
        plugin("logger", ["logger"]),
      ],
      levels: [["logger"], ["cache"], ["app"]],
    },
    {
      why: "equals keep the order of insertion, also if they got ready in another one",
      nodes: [plugin("b", [], [needs("y")]), plugin("a", [], [needs("x")]), plugin("x", ["x"]), plugin("y", ["y"])],
      levels: [
        ["x", "y"],
        ["b", "a"],
      ],
    },
    {
      why: "one provider in range is enough, though another waits for this very plugin",
      nodes: [
        plugin("late", ["logger"], [needs("cache")]),
        plugin("cache", ["cache"], [needs("logger")]),
        plugin("early", ["logger"]),
      ],
      levels: [["early"], ["cache"], ["late"]],
    },
    {
      why: "what nobody offers in range holds nobody back",
      nodes: [plugin("cache", [], [needs("logger@^2")]), plugin("logger", ["logger@1.0.0"])],
      levels: [["cache", "logger"]],
    },
    {
      why: "optional and observed dependencies hold nobody back, even in a circle",
      nodes: [plugin("a", ["a"], [mayUse("b")]), plugin("b", ["b"], [wasSeenUsing("a")])],
      levels: [["a", "b"]],
    },
  ])("$why", ({ nodes, levels }) => {
    const graph = graphOf(...nodes);
    expect(graph.startupLevels()).toEqual(levels);
    expect(graph.startupOrder()).toEqual(levels.flat());
  });

  test("a chain of 10,000 is ordered, and a ring of 10,000 is named, without overflowing the stack", () => {
    const length = 10_000;
    const graph = new DependencyGraph();
    for (let index = length - 1; index > 0; index--) {
      graph.put(plugin(`p${index}`, [`t${index}`], [needs(`t${index - 1}`)]));
    }
    graph.put(plugin("p0", ["t0"]));
    expect(graph.startupOrder()).toEqual(Array.from({ length }, (_, index) => `p${index}`));
    expect(graph.impact("p0").affectedPlugins).toHaveLength(length - 1);
    const closing = plugin("p0", ["t0"], [needs(`t${length - 1}`)]);
    expect(graph.cycleWith([closing])?.path).toHaveLength(length + 1);
    graph.put(closing);
    const error = errorOf(() => graph.startupOrder());
    expect(error.details.path).toHaveLength(length + 1);
    expect(error.message.length).toBeLessThan(500);
    expect(error.message).toContain("p9999 -> p9998 -> ");
    expect(error.message).toContain(" -> (9981 more) -> p9999;");
  });
});

describe("what is missing", () => {
  test("unmet lists declared, required dependencies that nobody satisfies", () => {
    const graph = graphOf(plugin("logger", ["logger@1.10.0"]));
    const tooNew = needs("logger@2.0.0");
    const unknown = needs("kv");
    expect(graph.unmet([needs("logger@1.9.0"), tooNew, mayUse("metrics"), wasSeenUsing("traces"), unknown])).toEqual([
      tooNew,
      unknown,
    ]);
  });

  test("a replacement misses the ranges that only the old plugin satisfied, one line for each dependant and range", () => {
    const graph = graphOf(
      plugin("old", ["kv@1.5.0", "log@1.0.0", "mail@1.0.0"]),
      plugin("other-log", ["log@1.2.0"]),
      plugin("z", [], [needs("kv@^1.5"), needs("log@^1"), needs("mail")]),
      plugin("a", [], [needs("kv@1.0.0"), mayUse("mail")]),
    );
    expect(graph.missingAfterReplace("old", [{ type: "kv", version: "2.0.0" }])).toEqual([
      { dependant: "z", type: "kv", minVersion: "^1.5" },
      { dependant: "z", type: "mail", minVersion: "" },
    ]);
    expect(graph.missingAfterReplace("old", graph.get("old")?.provides ?? [])).toEqual([]);
  });
});
