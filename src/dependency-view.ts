import type { DependencyGraph } from "./graph/dependency-graph.js";
import type { Dependencies } from "./lifecycle/ports.js";
import type { ServiceRegistry } from "./registry/service-registry.js";

/** The lifecycle's questions about dependencies, answered from the visible state. */
export const dependencyView = (graph: DependencyGraph, registry: ServiceRegistry): Dependencies => ({
  impact: (runtimeId) => graph.impact(runtimeId),
  cycleWith: (node) => graph.cycleWith([node])?.names,
  missingAfterReplace: (runtimeId, provides) => graph.missingAfterReplace(runtimeId, provides),
  problemWith: ({ type, minVersion }, except) => {
    const exclude = except === undefined ? undefined : new Set([except]);
    const result = registry.find(type, { minVersion, exclude, strategyOverride: "first" });
    return result.kind === "found" ? undefined : result.message;
  },
});
