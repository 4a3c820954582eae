import { PluginHostError } from "../errors.js";

/** Counts the open watches of each caller, so that none can hold more than it may. */
export class OpenWatches {
  readonly #maxPerPlugin: number;
  readonly #open = new Map<string, number>();

  constructor(maxPerPlugin: number) {
    this.#maxPerPlugin = maxPerPlugin;
  }

  /**
   * A plugin opens a watch, or somebody else under a name that no plugin has. Returns the function that closes it, which is idempotent.
   *
   * @throws PluginHostError `LIMIT_REACHED`
   */
  open(caller: string): () => void {
    const before = this.#open.get(caller) ?? 0;
    if (before >= this.#maxPerPlugin) {
      const hint = "close one, or raise the option maxWatchesPerPlugin";
      throw new PluginHostError("LIMIT_REACHED", `${caller} has ${before} watches open, as many as it may; ${hint}`);
    }
    this.#open.set(caller, before + 1);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      const left = (this.#open.get(caller) ?? 1) - 1;
      if (left === 0) this.#open.delete(caller);
      else this.#open.set(caller, left);
    };
  }
}
