import type { GraphNode } from "../../src/graph/graph-node.js";
import type { ServiceDependency } from "../../src/model/declarations.js";
import { compileVersionRange } from "../../src/model/versions.js";

// What the graph has to answer, written down as directly as possible: every question scans all plugins again.

export const satisfies = (provider: GraphNode, { type, minVersion }: ServiceDependency): boolean =>
  provider.provides.some((offer) => offer.type === type && compileVersionRange("range", minVersion)(offer.version));

export const counts = ({ required, source }: ServiceDependency): boolean => required && source === "declared";

const othersThatSatisfy = (all: readonly GraphNode[], owner: GraphNode, need: ServiceDependency): GraphNode[] =>
  all.filter((other) => other !== owner && satisfies(other, need));

/** Levels by repeating "who can start now?" until nobody can. The rest is stuck. */
export function bruteLevels(all: readonly GraphNode[]): { levels: string[][]; stuck: GraphNode[] } {
  const started = new Set<GraphNode>();
  const levels: string[][] = [];
  for (;;) {
    const level = all.filter(
      (node) =>
        !started.has(node) &&
        node.requires
          .filter(counts)
          .filter((need) => all.some((other) => satisfies(other, need)))
          .every((need) => othersThatSatisfy(all, node, need).some((other) => started.has(other))),
    );
    if (level.length === 0) break;
    levels.push(level.map(({ id }) => id));
    for (const node of level) started.add(node);
  }
  return { levels, stuck: all.filter((node) => !started.has(node)) };
}

/** Impact as the fixed point of "who has lost something that he had?". */
export function bruteImpact(
  all: readonly GraphNode[],
  removed: GraphNode,
): { affectedServices: string[]; affectedPlugins: Set<string>; optionalImpact: Set<string> } {
  const gone = new Set<GraphNode>([removed]);
  const loses = (node: GraphNode, need: ServiceDependency): boolean => {
    const before = othersThatSatisfy(all, node, need);
    return before.length > 0 && before.every((other) => gone.has(other));
  };
  for (let size = 0; size !== gone.size; ) {
    size = gone.size;
    for (const node of all) if (node.requires.some((need) => counts(need) && loses(node, need))) gone.add(node);
  }
  const left = all.filter((node) => !gone.has(node));
  const isAffected = (type: string): boolean =>
    !left.some(({ provides }) => provides.some((offer) => offer.type === type)) ||
    all.some(
      (node) =>
        node !== removed &&
        node.requires.some((need) => need.type === type && satisfies(removed, need) && loses(node, need)),
    );
  return {
    affectedServices: [...new Set(removed.provides.map(({ type }) => type))].filter(isAffected),
    affectedPlugins: new Set([...gone].filter((node) => node !== removed).map(({ id }) => id)),
    optionalImpact: new Set(left.filter((node) => node.requires.some((need) => loses(node, need))).map(({ id }) => id)),
  };
}
