import { Emitter, type Unsubscribe } from "../internal/emitter.js";
import type { Change, PluginRecord, Registration, Revision, RuntimeId } from "../model/catalog.js";
import { compareVersionsDescending } from "../model/versions.js";
import { AliasTable } from "./alias-table.js";
import { checkBatch } from "./check-batch.js";
import { createOffer, type Offer, type Provider, type TypeOffers } from "./provider.js";
import { TypeIndex } from "./type-index.js";
import { pluginLooksDifferent, registrationLooksDifferent } from "./visible-change.js";

/** One applied batch, as subscribers get it. The catalog is in the state after the batch, or a later one. */
export interface CatalogEvent {
  readonly revision: Revision;
  readonly changes: readonly Change[];
  /** The service types whose providers changed, or whose providers' health, phase, address or metadata did. */
  readonly touchedTypes: ReadonlySet<string>;
}

/** How a catalog is made. */
export interface CatalogOptions {
  /** Names this start of the host, so that a revision of an earlier start is not taken for one of this. */
  readonly epoch: string;
  /** Gets what a subscriber throws. */
  readonly onListenerError?: (error: unknown) => void;
}

interface PluginEntry {
  record: PluginRecord;
  /** By service type. */
  readonly offers: Map<string, Offer>;
}

const none: readonly never[] = Object.freeze([]);

/**
 * The host's visible state: plugins, what they have registered, and who answers for whom. Changed in batches by
 * `apply` only; reads are synchronous and cost what they return, however large the catalog is.
 */
export class Catalog {
  readonly #plugins = new Map<RuntimeId, PluginEntry>();
  readonly #registrations = new Map<string, Registration>();
  readonly #types = new TypeIndex();
  readonly #emitter: Emitter<{ applied: CatalogEvent }>;
  /** Events that wait because a subscriber applies changes itself: everybody sees revisions in their order. */
  #events: CatalogEvent[] | undefined;
  #aliases = new AliasTable();
  #revision: Revision;

  constructor(options: CatalogOptions) {
    this.#revision = Object.freeze({ epoch: options.epoch, number: 0 });
    this.#emitter = new Emitter((error) => {
      try {
        options.onListenerError?.(error);
      } catch {
        // Whoever reports errors badly must not disturb the other subscribers either.
      }
    });
  }

  /** The revision of the last applied batch; number 0 before the first. */
  get revision(): Revision {
    return this.#revision;
  }

  /** Every alias, from the replaced runtime id to the one that answers for it. */
  get aliases(): ReadonlyMap<RuntimeId, RuntimeId> {
    return this.#aliases.entries;
  }

  /**
   * Applies all changes as one, in their order, or none of them; then tells every subscriber once. Removing a plugin
   * removes its registrations, and the aliases that lead to it and were not moved in the same batch. Removing an alias
   * that does not exist is no error. An empty batch is no change.
   *
   * @returns the revision after the batch
   * @throws PluginHostError `PLUGIN_NOT_FOUND` (registration of, alias to, or removal of an unknown plugin),
   * `REGISTRATION_NOT_FOUND`, or `INVALID_ARGUMENT` (an id that stands for another plugin or type, an alias to itself)
   */
  apply(changes: readonly Change[]): Revision {
    if (changes.length === 0) return this.#revision;
    const batch = Object.freeze([...changes]);
    const aliases = checkBatch(batch, {
      plugin: (id) => this.plugin(id),
      registration: (id) => this.registration(id),
      aliases: this.#aliases,
    });
    const touchedTypes = new Set<string>();
    for (const change of batch) this.#commit(change, touchedTypes);
    this.#aliases = aliases;
    const revision = Object.freeze({ epoch: this.#revision.epoch, number: this.#revision.number + 1 });
    this.#revision = revision;
    this.#types.stamp(touchedTypes, revision.number);
    this.#notify({ revision, changes: batch, touchedTypes });
    return revision;
  }

  /** Calls `listener` synchronously after each batch, in the order of the revisions. */
  subscribe(listener: (event: CatalogEvent) => void): Unsubscribe {
    return this.#emitter.on("applied", listener);
  }

  /** The plugin with this very id; see `resolveAlias` for replaced ones. */
  plugin(runtimeId: RuntimeId): PluginRecord | undefined {
    return this.#plugins.get(runtimeId)?.record;
  }

  /** In the order in which they were first put. */
  plugins(): PluginRecord[] {
    return Array.from(this.#plugins.values(), (entry) => entry.record);
  }

  registration(registrationId: string): Registration | undefined {
    return this.#registrations.get(registrationId);
  }

  /** Grouped by type, in the order in which the plugin began to offer them; highest version first within a type. */
  registrationsOf(runtimeId: RuntimeId): Registration[] {
    return [...(this.#plugins.get(runtimeId)?.offers.values() ?? [])].flatMap((offer) => offer.registrations);
  }

  /** Highest version first; of equal versions the one that was registered first. */
  registrationsOfPluginAndType(runtimeId: RuntimeId, type: string): readonly Registration[] {
    return this.#plugins.get(runtimeId)?.offers.get(type)?.registrations ?? none;
  }

  /** What one plugin offers of one type, together with the plugin. */
  offerOf(runtimeId: RuntimeId, type: string): Offer | undefined {
    return this.#plugins.get(runtimeId)?.offers.get(type);
  }

  /** Every provider of `type`: plugins in the order in which they began to offer it, highest version first of each. */
  providersOf(type: string): Provider[] {
    return [...(this.#types.offersOf(type)?.byPlugin.values() ?? [])].flatMap((offer) => offer.providers);
  }

  /** Who offers `type`, by plugin; undefined if nobody does. A live view: do not keep it. */
  offersOf(type: string): TypeOffers | undefined {
    return this.#types.offersOf(type);
  }

  /** Every service type that somebody provides. */
  types(): string[] {
    return this.#types.types();
  }

  /**
   * The number of the last revision that changed something visible of `type`, also after its last provider has gone.
   * For a type that went long ago it may be a later number, never an earlier one; 0 if the type was never seen.
   */
  typeRevision(type: string): number {
    return this.#types.revisionOf(type);
  }

  /** The runtime id that answers for `runtimeId`: itself if nobody replaced it. */
  resolveAlias(runtimeId: RuntimeId): RuntimeId {
    return this.#aliases.resolve(runtimeId);
  }

  #commit(change: Change, touched: Set<string>): void {
    switch (change.kind) {
      case "plugin-put":
        return this.#putPlugin(change.plugin, touched);
      case "plugin-removed":
        return this.#removePlugin(change.runtimeId, touched);
      case "registration-put":
        return this.#putRegistration(change.registration, touched);
      case "registration-removed":
        return this.#removeRegistration(change.registrationId, touched);
      case "alias-put":
      case "alias-removed":
        return; // The check has made the new aliases.
    }
  }

  #putPlugin(record: PluginRecord, touched: Set<string>): void {
    const entry = this.#plugins.get(record.runtimeId);
    if (entry === undefined) {
      this.#plugins.set(record.runtimeId, { record, offers: new Map() });
      return;
    }
    const visible = pluginLooksDifferent(entry.record, record);
    entry.record = record;
    for (const [type, offer] of entry.offers) {
      this.#putOffer(entry, type, offer.registrations);
      if (visible) touched.add(type);
    }
  }

  #removePlugin(runtimeId: RuntimeId, touched: Set<string>): void {
    for (const [type, offer] of this.#entry(runtimeId).offers) {
      for (const { registrationId } of offer.registrations) this.#registrations.delete(registrationId);
      this.#types.remove(type, runtimeId);
      touched.add(type);
    }
    this.#plugins.delete(runtimeId);
  }

  #putRegistration(registration: Registration, touched: Set<string>): void {
    const { registrationId, runtimeId, type, version } = registration;
    const old = this.#registrations.get(registrationId);
    this.#registrations.set(registrationId, registration);
    const entry = this.#entry(runtimeId);
    const others = [...(entry.offers.get(type)?.registrations ?? none)];
    const place = old === undefined ? -1 : others.indexOf(old);
    if (old?.version === version) others[place] = registration;
    else {
      if (place >= 0) others.splice(place, 1);
      const lower = others.findIndex((other) => compareVersionsDescending(version, other.version) < 0);
      others.splice(lower < 0 ? others.length : lower, 0, registration);
    }
    this.#putOffer(entry, type, others);
    if (old === undefined || registrationLooksDifferent(old, registration)) touched.add(type);
  }

  #removeRegistration(registrationId: string, touched: Set<string>): void {
    const old = this.#registrations.get(registrationId);
    if (old === undefined) return;
    this.#registrations.delete(registrationId);
    const entry = this.#entry(old.runtimeId);
    const rest = entry.offers.get(old.type)?.registrations.filter((other) => other !== old) ?? none;
    if (rest.length > 0) this.#putOffer(entry, old.type, rest);
    else {
      entry.offers.delete(old.type);
      this.#types.remove(old.type, old.runtimeId);
    }
    touched.add(old.type);
  }

  #putOffer(entry: PluginEntry, type: string, registrations: readonly Registration[]): void {
    const offer = createOffer(entry.record, registrations);
    entry.offers.set(type, offer);
    this.#types.put(type, offer);
  }

  #entry(runtimeId: RuntimeId): PluginEntry {
    const entry = this.#plugins.get(runtimeId);
    // `checkBatch` has made sure of it before the first change was committed.
    if (entry === undefined) throw new Error(`unreachable: ${runtimeId} was checked to exist`);
    return entry;
  }

  #notify(event: CatalogEvent): void {
    if (this.#events !== undefined) {
      this.#events.push(event);
      return;
    }
    this.#events = [event];
    try {
      for (const next of this.#events) this.#emitter.emit("applied", next);
    } finally {
      this.#events = undefined;
    }
  }
}
