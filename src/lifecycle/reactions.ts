import { deferred } from "../internal/deferred.js";
import type { RuntimeId } from "../model/catalog.js";

interface Wait {
  readonly types: ReadonlySet<string>;
  readonly open: Set<RuntimeId>;
  readonly done: () => void;
}

/**
 * Knows which plugins watch which service types, and tells when those that lose one have reacted: by a health
 * report, by discovering that type again, or by closing their watch.
 */
export class Reactions {
  readonly #watches = new Map<RuntimeId, Map<string, number>>();
  readonly #waits = new Set<Wait>();

  /** A plugin opened a watch. Returns the function that closes it again; idempotent. */
  watchOpened(runtimeId: RuntimeId, type: string): () => void {
    const types = this.#watches.get(runtimeId) ?? new Map<string, number>();
    this.#watches.set(runtimeId, types);
    types.set(type, (types.get(type) ?? 0) + 1);
    let open = true;
    return () => {
      if (!open) return;
      open = false;
      const left = (types.get(type) ?? 1) - 1;
      if (left > 0) {
        types.set(type, left);
        return;
      }
      types.delete(type);
      if (types.size === 0 && this.#watches.get(runtimeId) === types) this.#watches.delete(runtimeId);
      this.#reacted(runtimeId, type);
    };
  }

  /** Whether a plugin has a watch open. */
  isWatching(runtimeId: RuntimeId): boolean {
    return this.#watches.has(runtimeId);
  }

  /** A plugin asked for a provider of `type`. */
  discovered(runtimeId: RuntimeId, type: string): void {
    this.#reacted(runtimeId, type);
  }

  /** A plugin reported its health. */
  reported(runtimeId: RuntimeId): void {
    this.#reacted(runtimeId, undefined);
  }

  /** A plugin is gone and will not react any more. */
  gone(runtimeId: RuntimeId): void {
    this.#reacted(runtimeId, undefined);
  }

  /**
   * Resolves when everyone among `dependants` who watches one of `types` has reacted, or when the signal is aborted.
   * Who has no such watch open is not waited for. Begins to count at the call.
   */
  async wait(dependants: Iterable<RuntimeId>, types: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const open = new Set<RuntimeId>();
    for (const id of dependants) {
      for (const type of this.#watches.get(id)?.keys() ?? []) if (types.has(type)) open.add(id);
    }
    if (open.size === 0 || signal.aborted) return;
    const { promise, resolve } = deferred();
    const wait: Wait = { types, open, done: resolve };
    this.#waits.add(wait);
    signal.addEventListener("abort", wait.done, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", wait.done);
      this.#waits.delete(wait);
    }
  }

  #reacted(runtimeId: RuntimeId, type: string | undefined): void {
    for (const wait of this.#waits) {
      if (type !== undefined && !wait.types.has(type)) continue;
      if (wait.open.delete(runtimeId) && wait.open.size === 0) wait.done();
    }
  }
}
