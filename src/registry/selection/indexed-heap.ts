/** What an {@link IndexedHeap} holds: it knows its own place, so that a change of it need not be searched for. */
export interface HeapNode {
  /** Kept by the heap. */
  place: number;
}

/** A binary heap whose nodes can change their order while they are in it. */
export class IndexedHeap<N extends HeapNode> {
  readonly #nodes: N[];
  readonly #before: (a: N, b: N) => boolean;

  /** @param before a strict order: true if `a` comes before `b` */
  constructor(nodes: Iterable<N>, before: (a: N, b: N) => boolean) {
    this.#nodes = [...nodes];
    this.#before = before;
    this.#nodes.forEach((node, place) => {
      node.place = place;
    });
    for (let place = (this.#nodes.length >> 1) - 1; place >= 0; place--) this.#sink(place);
  }

  /** Restores the order after `node`, and nothing else, has changed. O(log n). */
  update(node: N): void {
    if (!this.#rise(node.place)) this.#sink(node.place);
  }

  /** The first node in order that `skip` does not reject. O(1) if that is the first, O(k²) with k rejected ones. */
  first(skip: (node: N) => boolean): N | undefined {
    const [top] = this.#nodes;
    if (top === undefined || !skip(top)) return top;
    const frontier = this.#nodes.slice(1, 3);
    while (frontier.length > 0) {
      let best = 0;
      for (let i = 1; i < frontier.length; i++) if (this.#isBefore(frontier[i], frontier[best])) best = i;
      const [node] = frontier.splice(best, 1);
      if (node === undefined || !skip(node)) return node;
      const child = 2 * node.place + 1;
      frontier.push(...this.#nodes.slice(child, child + 2));
    }
    return undefined;
  }

  #isBefore(a: N | undefined, b: N | undefined): boolean {
    return a !== undefined && b !== undefined && this.#before(a, b);
  }

  #rise(from: number): boolean {
    let place = from;
    while (place > 0 && this.#isBefore(this.#nodes[place], this.#nodes[(place - 1) >> 1])) {
      this.#swap(place, (place - 1) >> 1);
      place = (place - 1) >> 1;
    }
    return place !== from;
  }

  #sink(from: number): void {
    for (let place = from; ; ) {
      const left = 2 * place + 1;
      const least = this.#isBefore(this.#nodes[left + 1], this.#nodes[left]) ? left + 1 : left;
      if (!this.#isBefore(this.#nodes[least], this.#nodes[place])) return;
      this.#swap(place, least);
      place = least;
    }
  }

  #swap(a: number, b: number): void {
    const [left, right] = [this.#nodes[a], this.#nodes[b]];
    if (left === undefined || right === undefined) return;
    this.#nodes[a] = right;
    this.#nodes[b] = left;
    right.place = a;
    left.place = b;
  }
}
