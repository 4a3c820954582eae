import type { Revision } from "../model/catalog.js";
import type { Catalog } from "./catalog.js";
import {
  describeProvider,
  explainNoCompatibleVersion,
  explainNoHealthyProvider,
  explainNoProvider,
  maxListed,
} from "./explain.js";
import type { Provider, TypeOffers } from "./provider.js";
import { hasEnded, type ProviderStatus, providerState, providerStatus } from "./provider-state.js";
import type { VersionRange } from "./version-range.js";
import { sameMetadata } from "./visible-change.js";

/**
 * Whether calls to a service type can be answered. `available`: by a healthy provider; `degraded`: by degraded ones
 * only; `unavailable`: by nobody.
 */
export type AggregateState = "available" | "degraded" | "unavailable";

/** What a watcher of a service type sees at one moment. Shared by all who watch the same: never change it. */
export interface ServiceView {
  readonly type: string;
  readonly state: AggregateState;
  /** What the strategy `first` would choose; undefined exactly if the type is unavailable. */
  readonly provider: Provider | undefined;
  /** One provider of each plugin that fits, whatever its state; undefined if the watcher did not ask for them. */
  readonly providers: readonly ProviderStatus[] | undefined;
  /** The revision that the view was taken at. */
  readonly revision: Revision;
  /** Why the type is not available, for people; empty if it is. */
  readonly reason: string;
  /** Who has ended, and for good or not, while nobody can take calls; empty if somebody can. */
  readonly ended: string;
}

/** Takes the view of `type` for those who ask for `range`. */
export function takeView(catalog: Catalog, type: string, range: VersionRange, withProviders: boolean): ServiceView {
  const offers = catalog.offersOf(type);
  const { revision } = catalog;
  const providers = withProviders ? Object.freeze(fittingProviders(offers, range).map(providerStatus)) : undefined;
  const provider = firstProvider(offers, range);
  const state = provider === undefined ? "unavailable" : stateOf(provider);
  const reason = provider === undefined ? explain(type, range, offers) : stateReason(provider);
  const ended = provider === undefined ? endedOf(fitting(offers, range)) : "";
  return Object.freeze({ type, state, provider, providers, revision, reason, ended });
}

/**
 * Whether a watcher who has seen `a` must be told of `b`: the state differs, or a provider if it sees them. Who waits for
 * a type is also told that a provider has ended, and that it is given up: it was told another reason when calls began to fail.
 */
export function viewsDiffer(a: ServiceView, b: ServiceView): boolean {
  if (a === b) return false;
  if (a.state !== b.state || a.ended !== b.ended || a.providers?.length !== b.providers?.length) return true;
  return b.providers?.some((status, i) => statusDiffers(a.providers?.[i], status)) ?? false;
}

function statusDiffers(a: ProviderStatus | undefined, b: ProviderStatus): boolean {
  if (a === undefined || a.state !== b.state || a.reason !== b.reason) return true;
  const [was, is] = [a.provider.registration, b.provider.registration];
  if (was === is) return false;
  if (was.runtimeId !== is.runtimeId || was.version !== is.version) return true;
  return was.registrationId !== is.registrationId || was.path !== is.path || !sameMetadata(was.metadata, is.metadata);
}

function* fitting(offers: TypeOffers | undefined, range: VersionRange): Generator<Provider> {
  for (const offer of offers?.byPlugin.values() ?? []) {
    const provider = range.pick(offer);
    if (provider !== undefined) yield provider;
  }
}

const fittingProviders = (offers: TypeOffers | undefined, range: VersionRange): Provider[] => [
  ...fitting(offers, range),
];

function endedOf(providers: Iterable<Provider>): string {
  const ended: string[] = [];
  for (const { plugin } of providers) {
    // More are not named in the reason.
    if (ended.length === maxListed) break;
    if (hasEnded(plugin)) ended.push(plugin.isGivenUp ? `${plugin.runtimeId} for good` : plugin.runtimeId);
  }
  return ended.join("; ");
}

function firstProvider(offers: TypeOffers | undefined, range: VersionRange): Provider | undefined {
  let degraded: Provider | undefined;
  for (const provider of fitting(offers, range)) {
    const state = providerState(provider.plugin);
    if (state === "healthy") return provider;
    if (state === "degraded") degraded ??= provider;
  }
  return degraded;
}

const stateOf = (provider: Provider): AggregateState =>
  providerState(provider.plugin) === "healthy" ? "available" : "degraded";

const stateReason = (provider: Provider): string =>
  stateOf(provider) === "available" ? "" : describeProvider(provider);

function explain(type: string, range: VersionRange, offers: TypeOffers | undefined): string {
  if (offers === undefined) return explainNoProvider(type);
  const [any] = fitting(offers, range);
  if (any === undefined) return explainNoCompatibleVersion(type, range, offers);
  return explainNoHealthyProvider(type, range, offers);
}
