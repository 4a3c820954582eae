import type { RuntimeId } from "../../model/catalog.js";
import type { Provider } from "../provider.js";
import { type CustomSelection, type SelectionContext, type Selector, withoutExcluded } from "./selector.js";

/**
 * Asks a function of the user's own. If it throws, or returns what is not among the candidates, the error is reported
 * and the first candidate is taken: a bad choice must not stop the calls.
 */
export class CustomSelector implements Selector {
  readonly #select: CustomSelection;
  readonly #onError: (error: unknown, type: string) => void;
  #candidates: readonly Provider[] = [];

  constructor(select: CustomSelection, onError: (error: unknown, type: string) => void) {
    this.#select = select;
    this.#onError = onError;
  }

  update(candidates: readonly Provider[]): void {
    this.#candidates = candidates;
  }

  choose(context: SelectionContext, exclude: ReadonlySet<RuntimeId> | undefined): Provider | undefined {
    const allowed = withoutExcluded(this.#candidates, exclude);
    if (allowed.length === 0) return undefined;
    try {
      const chosen = this.#select(allowed, context);
      if (allowed.includes(chosen)) return chosen;
      throw new TypeError(`the selection of "${context.type}" must return one of its ${allowed.length} candidates`);
    } catch (error) {
      this.#onError(error, context.type);
      return allowed[0];
    }
  }

  close(): void {}
}
