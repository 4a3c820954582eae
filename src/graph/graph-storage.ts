import { Graph } from "@dagrejs/graphlib";
import { bySequence, type GraphEntry, offersSatisfy, type Requirement } from "./graph-entry.js";
import type { GraphNode } from "./graph-node.js";
import { buildLinkTable, type LinkTable } from "./link-table.js";

/** Who provides and who requires one service type. */
interface TypeIndex {
  readonly providers: Set<GraphEntry>;
  readonly requirements: Set<Requirement>;
}

/**
 * Nodes and edges (dependant to provider), kept in graphlib, with an index by service type. Each entry carries its own
 * links beside graphlib's edges, and traversals of the whole graph go over a table of numbers made from these. Reading
 * an edge from graphlib builds strings and arrays: a traversal there takes five to ten times as long.
 */
export class GraphStorage {
  readonly #graph = new Graph<undefined, GraphEntry, undefined>({ directed: true });
  readonly #types = new Map<string, TypeIndex>();
  #table: LinkTable | undefined;

  get(id: string): GraphEntry | undefined {
    const key = JSON.stringify(id);
    return this.#graph.hasNode(key) ? this.#graph.node(key) : undefined;
  }

  /** Runtime ids in insertion order. */
  ids(): string[] {
    return this.#entries().map(({ node }) => node.id);
  }

  /** All links. Built when asked for after a change, which takes time in proportion to nodes and edges. */
  table(): LinkTable {
    this.#table ??= buildLinkTable(this.#entries());
    return this.#table;
  }

  /** Puts an entry, unlinked as `compileEntry` or `detach` leaves it. One with the same id is replaced in its place. */
  attach(entry: GraphEntry): void {
    const old = this.get(entry.node.id);
    if (old !== undefined) this.#unlink(old);
    this.#graph.setNode(entry.key, entry);
    this.#table = undefined;
    for (const requirement of entry.requirements) this.#linkToProviders(requirement);
    for (const type of entry.offers.keys()) {
      const index = this.#typeIndex(type);
      index.providers.add(entry);
      for (const requirement of index.requirements) this.#linkIfSatisfied(requirement, entry);
    }
  }

  /** Gives an attached entry more requirements, and the node that has them. Its other links stay as they are. */
  extend(entry: GraphEntry, node: GraphNode, added: readonly Requirement[]): void {
    entry.node = node;
    this.#table = undefined;
    for (const requirement of added) {
      entry.requirements.push(requirement);
      this.#linkToProviders(requirement);
    }
  }

  detach(entry: GraphEntry): void {
    this.#unlink(entry);
    this.#graph.removeNode(entry.key);
    this.#table = undefined;
  }

  /** The ends of the edges that leave the entry, in insertion order. */
  dependencies(entry: GraphEntry): GraphEntry[] {
    return this.#resolve(this.#graph.successors(entry.key));
  }

  /** The starts of the edges that lead to the entry, in insertion order. */
  dependants(entry: GraphEntry): GraphEntry[] {
    return this.#resolve(this.#graph.predecessors(entry.key));
  }

  /** Everybody who offers `type` in any version, in no order. */
  providersOf(type: string): Iterable<GraphEntry> {
    return this.#types.get(type)?.providers ?? [];
  }

  // graphlib keeps nodes in the order in which they were first set.
  #entries(): GraphEntry[] {
    return this.#graph.nodes().map((key) => this.#graph.node(key));
  }

  #resolve(keys: readonly string[] | undefined): GraphEntry[] {
    return (keys ?? []).map((key) => this.#graph.node(key)).sort(bySequence);
  }

  #typeIndex(type: string): TypeIndex {
    let index = this.#types.get(type);
    if (index === undefined) {
      index = { providers: new Set(), requirements: new Set() };
      this.#types.set(type, index);
    }
    return index;
  }

  #linkToProviders(requirement: Requirement): void {
    const index = this.#typeIndex(requirement.dependency.type);
    index.requirements.add(requirement);
    for (const provider of index.providers) this.#linkIfSatisfied(requirement, provider);
  }

  #linkIfSatisfied(requirement: Requirement, provider: GraphEntry): void {
    const { owner, dependency, accepts } = requirement;
    if (owner === provider || !offersSatisfy(provider.offers, dependency.type, accepts)) return;
    requirement.providers.add(provider);
    provider.satisfies.add(requirement);
    this.#graph.setEdge(owner.key, provider.key);
  }

  #unlink(entry: GraphEntry): void {
    for (const requirement of entry.requirements) {
      this.#typeIndex(requirement.dependency.type).requirements.delete(requirement);
      for (const provider of requirement.providers) {
        provider.satisfies.delete(requirement);
        this.#graph.removeEdge(entry.key, provider.key);
      }
      requirement.providers.clear();
      this.#forgetIfUnused(requirement.dependency.type);
    }
    for (const requirement of entry.satisfies) {
      requirement.providers.delete(entry);
      this.#graph.removeEdge(requirement.owner.key, entry.key);
    }
    entry.satisfies.clear();
    for (const type of entry.offers.keys()) {
      this.#types.get(type)?.providers.delete(entry);
      this.#forgetIfUnused(type);
    }
  }

  // Types come over the wire; a host that lives for months must not keep each of them for ever.
  #forgetIfUnused(type: string): void {
    const index = this.#types.get(type);
    if (index !== undefined && index.providers.size === 0 && index.requirements.size === 0) this.#types.delete(type);
  }
}
