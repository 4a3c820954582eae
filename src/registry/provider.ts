import type { PluginRecord, Registration, RuntimeId } from "../model/catalog.js";

/** One registered service together with the plugin that answers it. Immutable. */
export interface Provider {
  readonly plugin: PluginRecord;
  readonly registration: Registration;
}

/** Everything that one plugin offers of one service type. Immutable: a change puts another offer in its place. */
export interface Offer {
  readonly plugin: PluginRecord;
  /** Highest version first; of equal versions the one that was registered first. Never empty. */
  readonly registrations: readonly Registration[];
  /** The same registrations in the same order, each with its plugin. */
  readonly providers: readonly Provider[];
}

/** All offers of one service type. */
export interface TypeOffers {
  /** Number of the revision that last changed what watchers of the type can see. */
  readonly revision: number;
  /** Another number after every change of an offer, visible or not: what was derived from the offers is stale then. */
  readonly generation: number;
  /** In the order in which the plugins began to offer the type. Never empty. */
  readonly byPlugin: ReadonlyMap<RuntimeId, Offer>;
}

/** Joins a plugin with its registrations of one type, which are sorted already. */
export const createOffer = (plugin: PluginRecord, registrations: readonly Registration[]): Offer => ({
  plugin,
  registrations,
  providers: registrations.map((registration) => ({ plugin, registration })),
});
