import type { RuntimeId } from "../../model/catalog.js";
import type { Provider } from "../provider.js";
import { type SelectionContext, type Selector, withoutExcluded } from "./selector.js";

/** Each candidate with the same chance. */
export class RandomSelector implements Selector {
  #candidates: readonly Provider[] = [];
  readonly #random: () => number;

  /** @param random gives numbers from 0 up to, but not including, 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  update(candidates: readonly Provider[]): void {
    this.#candidates = candidates;
  }

  choose(_context: SelectionContext, exclude: ReadonlySet<RuntimeId> | undefined): Provider | undefined {
    const allowed = withoutExcluded(this.#candidates, exclude);
    return allowed[Math.floor(this.#random() * allowed.length)];
  }

  close(): void {}
}
