import type { RuntimeId } from "../../model/catalog.js";
import type { Provider } from "../provider.js";
import { isExcluded, type SelectionContext, type Selector } from "./selector.js";

/** Always the candidate that has offered the type longest. */
export class FirstSelector implements Selector {
  #candidates: readonly Provider[] = [];

  update(candidates: readonly Provider[]): void {
    this.#candidates = candidates;
  }

  choose(_context: SelectionContext, exclude: ReadonlySet<RuntimeId> | undefined): Provider | undefined {
    return this.#candidates.find((provider) => !isExcluded(provider, exclude));
  }

  close(): void {}
}
