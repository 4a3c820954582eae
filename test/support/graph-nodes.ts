import fc from "fast-check";
import type { GraphNode } from "../../src/graph/graph-node.js";
import type { ServiceDependency } from "../../src/model/declarations.js";

/** A declared, required dependency: `needs("logger")`, `needs("logger@^1.2")`. */
export function needs(wanted: string): ServiceDependency {
  const [type = "", minVersion = ""] = wanted.split("@");
  return { type, minVersion, required: true, watch: false, source: "declared" };
}

/** The same, declared as optional. */
export const mayUse = (wanted: string): ServiceDependency => ({ ...needs(wanted), required: false });

/** The same, seen by the host. `required` is set to show that it does not count. */
export const wasSeenUsing = (wanted: string): ServiceDependency => ({ ...needs(wanted), source: "observed" });

/** A node that provides `type` or `type@version` (1.0.0 if not given). */
export function plugin(
  id: string,
  provides: readonly string[],
  requires: readonly ServiceDependency[] = [],
): GraphNode {
  const services = provides.map((text) => {
    const [type = "", version = "1.0.0"] = text.split("@");
    return { type, version };
  });
  return { id, provides: services, requires };
}

const types = ["s", "t", "u", "v"] as const;

const dependency: fc.Arbitrary<ServiceDependency> = fc.record({
  type: fc.constantFrom(...types),
  minVersion: fc.constantFrom("", "1.0.0", "1.5.0", "^1.0.0", "~1.5", "2.0.0", ">=3"),
  required: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  watch: fc.constant(false),
  source: fc.oneof(
    { weight: 5, arbitrary: fc.constant("declared" as const) },
    { weight: 1, arbitrary: fc.constant("observed" as const) },
  ),
});

const service = fc.record({
  type: fc.constantFrom(...types),
  version: fc.constantFrom("1.0.0", "1.5.2", "2.1.0", "3.0.0-rc.1"),
});

/** A plugin of a small world: four types, four versions, so that ranges, rivals and cycles are frequent. */
const nodeWithId = (id: fc.Arbitrary<string>): fc.Arbitrary<GraphNode> =>
  fc.record({
    id,
    provides: fc.array(service, { maxLength: 2 }),
    requires: fc.array(dependency, { maxLength: 2 }),
  });

/** Plugins with different ids, in random insertion order. The ids are such that plain objects confuse or reorder. */
export const nodes = (maxLength = 9): fc.Arbitrary<GraphNode[]> =>
  fc.uniqueArray(nodeWithId(fc.constantFrom("10", "9", "constructor", "__proto__", "a", "b", "c", "d", "e", "f")), {
    selector: ({ id }) => id,
    maxLength,
  });
