import type { RuntimeId } from "../../model/catalog.js";
import type { Provider } from "../provider.js";
import { isExcluded, type SelectionContext, type Selector } from "./selector.js";

/** Each candidate in turn. When the list changes, the round goes on behind the last that was served. */
export class RoundRobinSelector implements Selector {
  #candidates: readonly Provider[] = [];
  #next = 0;

  update(candidates: readonly Provider[]): void {
    const places = new Map(candidates.map((provider, place) => [provider.plugin.runtimeId, place]));
    const served = this.#candidates.slice(0, this.#next).findLast((provider) => places.has(provider.plugin.runtimeId));
    this.#next = served === undefined ? 0 : (places.get(served.plugin.runtimeId) ?? -1) + 1;
    this.#candidates = candidates;
  }

  choose(_context: SelectionContext, exclude: ReadonlySet<RuntimeId> | undefined): Provider | undefined {
    const count = this.#candidates.length;
    for (let step = 0; step < count; step++) {
      const place = (this.#next + step) % count;
      const provider = this.#candidates[place];
      if (provider === undefined || isExcluded(provider, exclude)) continue;
      this.#next = place + 1;
      return provider;
    }
    return undefined;
  }

  close(): void {}
}
