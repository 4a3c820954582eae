import type { Unsubscribe } from "../../internal/emitter.js";
import type { RuntimeId } from "../../model/catalog.js";
import type { Provider } from "../provider.js";
import { type HeapNode, IndexedHeap } from "./indexed-heap.js";
import { type InFlightSource, isExcluded, type SelectionContext, type Selector } from "./selector.js";

interface LoadedNode extends HeapNode {
  provider: Provider;
  inFlight: number;
  /** When it was chosen last: among equals the one that has waited longest comes first. */
  turn: number;
}

const before = (a: LoadedNode, b: LoadedNode): boolean =>
  a.inFlight < b.inFlight || (a.inFlight === b.inFlight && a.turn < b.turn);

/** Passes each change of a count to those selectors that have the provider, and to no other. */
export class InFlightFeed {
  readonly source: InFlightSource;
  readonly #interested = new Map<RuntimeId, Set<LeastInFlightSelector>>();
  #stop: Unsubscribe | undefined;

  constructor(source: InFlightSource) {
    this.source = source;
  }

  add(runtimeId: RuntimeId, selector: LeastInFlightSelector): void {
    this.#stop ??= this.source.onChange((changed) => {
      for (const interested of this.#interested.get(changed) ?? []) interested.loadChanged(changed);
    });
    const selectors = this.#interested.get(runtimeId) ?? new Set();
    this.#interested.set(runtimeId, selectors.add(selector));
  }

  delete(runtimeId: RuntimeId, selector: LeastInFlightSelector): void {
    const selectors = this.#interested.get(runtimeId);
    selectors?.delete(selector);
    if (selectors?.size === 0) this.#interested.delete(runtimeId);
    if (this.#interested.size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
  }
}

/** The candidate that works on the fewest calls, each in turn among equals. Choosing and changing are O(log n). */
export class LeastInFlightSelector implements Selector {
  readonly #feed: InFlightFeed;
  #nodes = new Map<RuntimeId, LoadedNode>();
  #heap = new IndexedHeap<LoadedNode>([], before);
  #turn = 0;

  constructor(feed: InFlightFeed) {
    this.#feed = feed;
  }

  update(candidates: readonly Provider[]): void {
    const old = this.#nodes;
    this.#nodes = new Map();
    candidates.forEach((provider, order) => {
      const { runtimeId } = provider.plugin;
      const known = old.get(runtimeId);
      // Newcomers have not had a turn: they come first among equals, in the order of the list.
      const turn = known?.turn ?? order - candidates.length;
      const inFlight = this.#feed.source.inFlightOf(runtimeId);
      this.#nodes.set(runtimeId, { provider, inFlight, turn, place: 0 });
      if (known === undefined) this.#feed.add(runtimeId, this);
    });
    for (const runtimeId of old.keys()) if (!this.#nodes.has(runtimeId)) this.#feed.delete(runtimeId, this);
    this.#heap = new IndexedHeap(this.#nodes.values(), before);
  }

  choose(_context: SelectionContext, exclude: ReadonlySet<RuntimeId> | undefined): Provider | undefined {
    const node = this.#heap.first((candidate) => isExcluded(candidate.provider, exclude));
    if (node === undefined) return undefined;
    node.turn = ++this.#turn;
    this.#heap.update(node);
    return node.provider;
  }

  /** A count has changed. */
  loadChanged(runtimeId: RuntimeId): void {
    const node = this.#nodes.get(runtimeId);
    if (node === undefined) return;
    node.inFlight = this.#feed.source.inFlightOf(runtimeId);
    this.#heap.update(node);
  }

  close(): void {
    this.update([]);
  }
}
