import { PluginHostError } from "../errors.js";
import type { RuntimeId } from "../model/catalog.js";

/** Counts the open watches of each plugin, so that none can hold more than it may. */
export class OpenWatches {
  readonly #maxPerPlugin: number;
  readonly #open = new Map<RuntimeId, number>();

  constructor(maxPerPlugin: number) {
    this.#maxPerPlugin = maxPerPlugin;
  }

  /**
   * A plugin opens a watch. Returns the function that closes it, which is idempotent.
   *
   * @throws PluginHostError `LIMIT_REACHED`
   */
  open(runtimeId: RuntimeId): () => void {
    const before = this.#open.get(runtimeId) ?? 0;
    if (before >= this.#maxPerPlugin) {
      const hint = "close one, or raise the option maxWatchesPerPlugin";
      throw new PluginHostError("LIMIT_REACHED", `${runtimeId} has ${before} watches open, as many as it may; ${hint}`);
    }
    this.#open.set(runtimeId, before + 1);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      const left = (this.#open.get(runtimeId) ?? 1) - 1;
      if (left === 0) this.#open.delete(runtimeId);
      else this.#open.set(runtimeId, left);
    };
  }
}
