import type { RuntimeId } from "../../model/catalog.js";
import type { Provider } from "../provider.js";
import { type HeapNode, IndexedHeap } from "./indexed-heap.js";
import { isExcluded, type SelectionContext, type Selector } from "./selector.js";

interface WeightedNode extends HeapNode {
  provider: Provider;
  readonly weight: number;
  /** Virtual time at which the candidate came in, and how often it was chosen since. */
  readonly joinedAt: number;
  chosen: number;
  /** Virtual time of its next turn. */
  due: number;
  order: number;
}

/** The metadata `weight` of a provider: 1 if there is none, or none that is a number of at least 0. */
export function weightOf(provider: Provider): number {
  const text = provider.registration.metadata.weight?.trim() ?? "";
  const weight = text === "" ? 1 : Number(text);
  return Number.isFinite(weight) && weight >= 0 ? weight : 1;
}

/** Half a share late, so that the candidates' turns lie between each other instead of meeting at the end of a cycle. */
const dueOf = (joinedAt: number, chosen: number, weight: number): number => joinedAt + (2 * chosen + 1) / (2 * weight);

const before = (a: WeightedNode, b: WeightedNode): boolean => a.due < b.due || (a.due === b.due && a.order < b.order);

/**
 * Chooses in proportion to the metadata `weight`, evenly spread. A candidate of weight w is due w times in each unit
 * of virtual time; the one that is due first is chosen, in O(log n). In each cycle of as many choices as the (whole)
 * weights add up to, every candidate has exactly its share. Weight 0 is chosen only if nobody has more.
 */
export class WeightedSelector implements Selector {
  #nodes = new Map<RuntimeId, WeightedNode>();
  #heap = new IndexedHeap<WeightedNode>([], before);
  /** Candidates of weight 0, which share alike when there is no other. */
  #spare = new IndexedHeap<WeightedNode>([], before);
  #now = 0;

  update(candidates: readonly Provider[]): void {
    const old = this.#nodes;
    this.#nodes = new Map();
    candidates.forEach((provider, order) => {
      const { runtimeId } = provider.plugin;
      const weight = weightOf(provider);
      const known = old.get(runtimeId);
      if (known?.weight === weight) this.#nodes.set(runtimeId, Object.assign(known, { provider, order }));
      else this.#nodes.set(runtimeId, this.#join(provider, weight, order));
    });
    const nodes = [...this.#nodes.values()];
    this.#heap = new IndexedHeap(
      nodes.filter((node) => node.weight > 0),
      before,
    );
    this.#spare = new IndexedHeap(
      nodes.filter((node) => node.weight === 0),
      before,
    );
  }

  choose(_context: SelectionContext, exclude: ReadonlySet<RuntimeId> | undefined): Provider | undefined {
    const skip = (node: WeightedNode): boolean => isExcluded(node.provider, exclude);
    return this.#take(this.#heap, skip) ?? this.#take(this.#spare, skip);
  }

  close(): void {}

  #join(provider: Provider, weight: number, order: number): WeightedNode {
    // A newcomer starts now: it neither waits for the others nor makes up for the time before it.
    const joinedAt = weight > 0 ? this.#now : 0;
    return { provider, weight, order, joinedAt, chosen: 0, due: dueOf(joinedAt, 0, weight || 1), place: 0 };
  }

  #take(heap: IndexedHeap<WeightedNode>, skip: (node: WeightedNode) => boolean): Provider | undefined {
    const node = heap.first(skip);
    if (node === undefined) return undefined;
    if (node.weight > 0) this.#now = node.due;
    node.chosen += 1;
    // From the count and not by adding up, so that no rounding error grows.
    node.due = dueOf(node.joinedAt, node.chosen, node.weight || 1);
    heap.update(node);
    return node.provider;
  }
}
