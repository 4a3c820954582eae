import { PluginHostError } from "../errors.js";
import type { ServiceDependency } from "../model/declarations.js";
import { compileVersionRange } from "../model/versions.js";
import { cycleError, type DependencyCycle, findCycleAmong } from "./cycle.js";
import {
  addedRequirements,
  bySequence,
  compileEntry,
  type GraphEntry,
  isMandatory,
  offersSatisfy,
} from "./graph-entry.js";
import type { GraphNode, ProvidedService } from "./graph-node.js";
import { GraphStorage } from "./graph-storage.js";
import { type Impact, impactOf } from "./impact.js";
import { buildLinkTable } from "./link-table.js";
import { type MissingService, missingAfterReplace } from "./replacement.js";
import { settle } from "./startup-order.js";

/**
 * Who needs whom. An edge leads from a plugin to every plugin that satisfies one of its requirements: required,
 * optional or observed. Edges follow by themselves when plugins are put and removed, in any order.
 *
 * A plugin never satisfies its own requirement. All answers depend on the nodes and the order of their insertion only.
 */
export class DependencyGraph {
  readonly #storage = new GraphStorage();
  #nextSequence = 0;

  /**
   * Adds a plugin, or replaces what is known of it; then it keeps its place in the insertion order. An update that only
   * adds to the end of `requires` takes time for what it adds, not for what was there.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` if a range of `requires` is not one; nothing is changed then
   */
  put(node: GraphNode): void {
    const old = this.#storage.get(node.id);
    const added = old === undefined ? undefined : addedRequirements(old, node);
    if (old !== undefined && added !== undefined) this.#storage.extend(old, node, added);
    else this.#storage.attach(this.#compile(node));
  }

  /** Returns whether the plugin was there. */
  remove(id: string): boolean {
    const entry = this.#storage.get(id);
    if (entry !== undefined) this.#storage.detach(entry);
    return entry !== undefined;
  }

  has(id: string): boolean {
    return this.#storage.get(id) !== undefined;
  }

  get(id: string): GraphNode | undefined {
    return this.#storage.get(id)?.node;
  }

  /** Runtime ids in insertion order. */
  ids(): string[] {
    return this.#storage.ids();
  }

  /**
   * The plugins that satisfy a requirement of this one, in insertion order.
   *
   * @throws PluginHostError `PLUGIN_NOT_FOUND`
   */
  dependenciesOf(id: string): string[] {
    return this.#storage.dependencies(this.#existing(id)).map(({ node }) => node.id);
  }

  /**
   * The plugins that have a requirement which this one satisfies, in insertion order.
   *
   * @throws PluginHostError `PLUGIN_NOT_FOUND`
   */
  dependantsOf(id: string): string[] {
    return this.#storage.dependants(this.#existing(id)).map(({ node }) => node.id);
  }

  /**
   * Levels that can be started one after the other, everything inside a level at once. Each plugin is in the earliest
   * level where every required dependency has one provider in the levels before. Optional and observed dependencies,
   * and required ones that nobody in the graph can satisfy, hold nobody back. Insertion order inside a level.
   *
   * @throws PluginHostError `DEPENDENCY_CYCLE` if plugins wait for each other
   */
  startupLevels(): string[][] {
    const { levels, stuck } = settle(this.#storage.table());
    const cycle = findCycleAmong(stuck, []);
    if (cycle !== undefined) throw cycleError(cycle);
    return levels;
  }

  /**
   * The levels of `startupLevels`, one after the other.
   *
   * @throws PluginHostError `DEPENDENCY_CYCLE` if plugins wait for each other
   */
  startupOrder(): string[] {
    return this.startupLevels().flat();
  }

  /** A cycle in the graph as it is, or undefined. */
  findCycle(): DependencyCycle | undefined {
    return findCycleAmong(settle(this.#storage.table()).stuck, []);
  }

  /**
   * The cycle that putting these nodes would close, or undefined. The graph is not changed. If a node that is put is on
   * a cycle, the path begins with it. Takes time in proportion to what the nodes and their dependants need, directly or
   * not. A cycle that is in the graph already and does not touch the nodes is not looked for.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` as `put` does
   */
  cycleWith(nodes: readonly GraphNode[]): DependencyCycle | undefined {
    const given = nodes.map((node) => this.#compile(node));
    const put = new Map<string, GraphEntry>(given.map((entry) => [entry.node.id, entry]));
    const replaced = new Map<string, GraphEntry>();
    const suspects = new Set<GraphEntry>();
    for (const id of put.keys()) {
      const old = this.#storage.get(id);
      if (old === undefined) continue;
      replaced.set(id, old);
      // A plugin that offers less may leave two others waiting for each other.
      for (const { owner } of old.satisfies) suspects.add(put.get(owner.node.id) ?? owner);
    }
    try {
      for (const entry of put.values()) this.#storage.attach(entry);
      for (const entry of put.values()) if (canBeOnCycle(entry)) suspects.add(entry);
      return findCycleAmong(settle(buildLinkTable(dependencyClosure(suspects))).stuck, [...put.values()]);
    } finally {
      for (const [id, entry] of put) {
        const old = replaced.get(id);
        if (old === undefined) this.#storage.detach(entry);
        else this.#storage.attach(old);
      }
    }
  }

  /**
   * Who would break if the plugin were removed; see `Impact` for the exact rules.
   *
   * @throws PluginHostError `PLUGIN_NOT_FOUND`
   */
  impact(id: string): Impact {
    return impactOf(this.#existing(id), this.#storage.table(), (type) => this.#storage.providersOf(type));
  }

  /**
   * What required dependants of `oldId` would miss if a plugin that provides `newProvides` took its place.
   *
   * @throws PluginHostError `PLUGIN_NOT_FOUND`
   */
  missingAfterReplace(oldId: string, newProvides: readonly ProvidedService[]): MissingService[] {
    return missingAfterReplace(this.#existing(oldId), newProvides);
  }

  /**
   * Those of `requires` that are declared, required, and satisfied by nobody in the graph.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` if a range is not one
   */
  unmet(requires: readonly ServiceDependency[]): ServiceDependency[] {
    return requires.filter((dependency, position) => {
      if (!isMandatory(dependency)) return false;
      const { type, minVersion } = dependency;
      const accepts = compileVersionRange(`requires[${position}].minVersion`, minVersion);
      for (const { offers } of this.#storage.providersOf(type)) if (offersSatisfy(offers, type, accepts)) return false;
      return true;
    });
  }

  #compile(node: GraphNode): GraphEntry {
    return compileEntry(node, this.#storage.get(node.id)?.sequence ?? this.#nextSequence++);
  }

  #existing(id: string): GraphEntry {
    const entry = this.#storage.get(id);
    if (entry !== undefined) return entry;
    throw new PluginHostError("PLUGIN_NOT_FOUND", `the dependency graph has no plugin ${JSON.stringify(id)}`);
  }
}

/** Whether anybody waits for the plugin at all. A new one whose services nobody requires closes no cycle. */
function canBeOnCycle(entry: GraphEntry): boolean {
  if (entry.requirements.some(({ mandatory, ownService }) => mandatory && ownService)) return true;
  for (const requirement of entry.satisfies) if (requirement.mandatory) return true;
  return false;
}

/** `seeds` and everything that satisfies what they require, directly or not, in insertion order. */
function dependencyClosure(seeds: Iterable<GraphEntry>): GraphEntry[] {
  const closure = new Set(seeds);
  // A Set may grow while it is walked, so it is the queue as well.
  for (const entry of closure) {
    for (const requirement of entry.requirements) {
      for (const provider of requirement.providers) closure.add(provider);
    }
  }
  return [...closure].sort(bySequence);
}
