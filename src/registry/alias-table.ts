import type { RuntimeId } from "../model/catalog.js";

/** Which runtime id answers for one that was replaced. Flat: an alias never leads to another alias. */
export class AliasTable {
  readonly #targets: Map<RuntimeId, RuntimeId>;
  readonly #sources: Map<RuntimeId, Set<RuntimeId>>;

  constructor(from?: AliasTable) {
    this.#targets = new Map(from?.entries);
    this.#sources = new Map();
    for (const [source, target] of this.#targets) this.#sourcesOf(target).add(source);
  }

  /** Every alias, from the replaced id to the one that answers for it. */
  get entries(): ReadonlyMap<RuntimeId, RuntimeId> {
    return this.#targets;
  }

  /** The id that answers for `id`: `id` itself if nobody replaced it. */
  resolve(id: RuntimeId): RuntimeId {
    return this.#targets.get(id) ?? id;
  }

  /** Whether any alias leads to `target`. */
  leadsTo(target: RuntimeId): boolean {
    return this.#sources.has(target);
  }

  /** Puts `from → to`; what led to `from` leads to `to` now. `to` is resolved and is not `from`. */
  put(from: RuntimeId, to: RuntimeId): void {
    const moved = [...(this.#sources.get(from) ?? []), from];
    this.#sources.delete(from);
    for (const source of moved) {
      this.remove(source);
      this.#targets.set(source, to);
      this.#sourcesOf(to).add(source);
    }
  }

  /** Does nothing if there is no such alias. */
  remove(from: RuntimeId): void {
    const target = this.#targets.get(from);
    if (target === undefined) return;
    this.#targets.delete(from);
    const sources = this.#sources.get(target);
    sources?.delete(from);
    if (sources?.size === 0) this.#sources.delete(target);
  }

  /** Removes every alias that leads to `target`. */
  removeTarget(target: RuntimeId): void {
    for (const source of this.#sources.get(target) ?? []) this.#targets.delete(source);
    this.#sources.delete(target);
  }

  #sourcesOf(target: RuntimeId): Set<RuntimeId> {
    const known = this.#sources.get(target);
    if (known !== undefined) return known;
    const fresh = new Set<RuntimeId>();
    this.#sources.set(target, fresh);
    return fresh;
  }
}
