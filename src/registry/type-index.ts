import type { RuntimeId } from "../model/catalog.js";
import type { Offer, TypeOffers } from "./provider.js";

interface TypeEntry extends TypeOffers {
  revision: number;
  generation: number;
  readonly byPlugin: Map<RuntimeId, Offer>;
}

const maxVanishedTypes = 1024;

/** Who offers each service type, and when that last changed. */
export class TypeIndex {
  readonly #entries = new Map<string, TypeEntry>();
  /** Last revisions of types that nobody offers any more, oldest first. */
  readonly #vanished = new Map<string, number>();
  /** No vanished type that is not in the map above has changed after this revision. */
  #forgottenRevision = 0;
  #generation = 0;

  put(type: string, offer: Offer): void {
    let entry = this.#entries.get(type);
    if (entry === undefined) {
      entry = { revision: 0, generation: 0, byPlugin: new Map() };
      this.#entries.set(type, entry);
    }
    // An existing key keeps its place in a Map, so an update does not send a plugin to the back.
    entry.byPlugin.set(offer.plugin.runtimeId, offer);
    entry.generation = ++this.#generation;
  }

  remove(type: string, runtimeId: RuntimeId): void {
    const entry = this.#entries.get(type);
    if (entry === undefined) return;
    entry.byPlugin.delete(runtimeId);
    entry.generation = ++this.#generation;
    if (entry.byPlugin.size === 0) this.#entries.delete(type);
  }

  /** Notes that `types` changed in `revision`. */
  stamp(types: Iterable<string>, revision: number): void {
    for (const type of types) {
      const entry = this.#entries.get(type);
      this.#vanished.delete(type);
      if (entry === undefined) this.#vanished.set(type, revision);
      else entry.revision = revision;
    }
    for (const [type, last] of this.#vanished) {
      if (this.#vanished.size <= maxVanishedTypes) break;
      this.#vanished.delete(type);
      this.#forgottenRevision = last;
    }
  }

  offersOf(type: string): TypeOffers | undefined {
    return this.#entries.get(type);
  }

  /** The last change of `type`, or a later revision if the type vanished so long ago that it was forgotten. */
  revisionOf(type: string): number {
    return this.#entries.get(type)?.revision ?? this.#vanished.get(type) ?? this.#forgottenRevision;
  }

  types(): string[] {
    return [...this.#entries.keys()];
  }
}
