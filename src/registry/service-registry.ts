import { PluginHostError } from "../errors.js";
import type { Unsubscribe } from "../internal/emitter.js";
import type { RuntimeId } from "../model/catalog.js";
import { checkName } from "../model/limits.js";
import { BoundedCache } from "./bounded-cache.js";
import { CandidatePool, type Lane } from "./candidate-pool.js";
import type { Catalog } from "./catalog.js";
import { explainNoProvider } from "./explain.js";
import { type FindResult, notFound, notUsable } from "./find-result.js";
import type { Provider } from "./provider.js";
import { type ProviderStatus, providerStatus } from "./provider-state.js";
import type { SelectorSources } from "./selection/create-selector.js";
import { InFlightFeed } from "./selection/least-in-flight.js";
import {
  checkStrategy,
  type InFlightSource,
  type SelectionContext,
  type SelectionPurpose,
  type SelectionStrategy,
  type SelectionStrategyName,
} from "./selection/selector.js";
import type { ServiceView } from "./service-view.js";
import { type VersionRange, VersionRanges } from "./version-range.js";
import { WatchHub, type WatchOptions } from "./watch-hub.js";

const maxRangesPerType = 32;

/** Where a registry gets what is not in the catalog. */
export interface ServiceRegistryOptions {
  /** Numbers from 0 up to, but not including, 1, for the strategy `random`. @default Math.random */
  readonly random?: () => number;
  /** Calls in flight, for the strategy `least-in-flight`. @default every provider is idle */
  readonly inFlight?: InFlightSource;
  /** Gets what a selection function of the user's own throws, or a complaint about what it returned. */
  readonly onSelectionError?: (error: unknown, type: string) => void;
}

/** What is asked of a provider. */
export interface FindOptions {
  /** A complete `x.y.z` is a minimum, anything else an npm range. @default any version */
  readonly minVersion?: string | undefined;
  /** The plugin that asks, for selection functions. */
  readonly callerId?: RuntimeId | undefined;
  /** Plugins that must not be chosen, because a call to them has failed already. */
  readonly exclude?: ReadonlySet<RuntimeId> | undefined;
  /** Whether providers that are ejected will do if there are no others. @default false */
  readonly tryEjected?: boolean | undefined;
  /** Which of the type's strategies chooses. @default "discover" */
  readonly purpose?: SelectionPurpose | undefined;
  /** Chooses this once instead of the type's strategy. */
  readonly strategyOverride?: SelectionStrategy | undefined;
}

/** One service type and everybody who provides it. */
export interface ServiceListing {
  readonly type: string;
  /** Every registration of the type, with the state of its plugin. */
  readonly providers: readonly ProviderStatus[];
}

const defaultStrategies: Readonly<Record<SelectionPurpose, SelectionStrategyName>> = Object.freeze({
  discover: "first",
  route: "round-robin",
});

const idle: InFlightSource = { inFlightOf: () => 0, onChange: () => () => {} };
const none: FindOptions = Object.freeze({});

/**
 * Finds providers of service types. Reads the catalog and never changes it; a provider's health and phase decide whether
 * it is offered: healthy ones first, degraded ones if no healthy one is left, all others never.
 */
export class ServiceRegistry {
  readonly #catalog: Catalog;
  readonly #sources: SelectorSources;
  readonly #ranges = new VersionRanges();
  readonly #strategies = new Map<string, SelectionStrategy>();
  /** By type, then by range. */
  readonly #pools = new Map<string, BoundedCache<string, CandidatePool>>();
  readonly #hub: WatchHub;
  readonly #unsubscribe: Unsubscribe;

  constructor(catalog: Catalog, options: ServiceRegistryOptions = {}) {
    this.#catalog = catalog;
    this.#sources = {
      random: options.random ?? Math.random,
      inFlight: new InFlightFeed(options.inFlight ?? idle),
      onSelectionError: options.onSelectionError ?? (() => {}),
    };
    this.#hub = new WatchHub(catalog, this.#ranges);
    this.#unsubscribe = catalog.subscribe((event) => {
      for (const type of event.touchedTypes) if (catalog.offersOf(type) === undefined) this.#forget(type);
    });
  }

  /**
   * Chooses a provider of `type`. Of a plugin that offers several versions, the highest that fits is meant.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` (the range), `NO_PROVIDER`, `NO_COMPATIBLE_VERSION` or
   * `NO_HEALTHY_PROVIDER`, tested in that order
   */
  discover(type: string, options: FindOptions = none): Provider {
    const result = this.find(type, options);
    if (result.kind === "found") return result.provider;
    const field = result.field === undefined ? {} : { field: result.field };
    throw new PluginHostError(result.code, result.message, { ...field, details: { type } });
  }

  /** Like `discover`, for callers to whom it is nothing exceptional that there is no provider. Never throws. */
  find(type: string, options: FindOptions = none): FindResult {
    const { strategyOverride, callerId, exclude } = options;
    let range: VersionRange;
    try {
      range = this.#ranges.get(options.minVersion ?? "");
      if (strategyOverride !== undefined) checkStrategy("strategyOverride", strategyOverride);
    } catch (error) {
      return notUsable(error);
    }
    const offers = this.#catalog.offersOf(type);
    if (offers === undefined) return notFound("NO_PROVIDER", explainNoProvider(type));
    const purpose = options.purpose ?? "discover";
    const strategy = strategyOverride ?? this.selectionStrategy(type, purpose);
    const lane: Lane = strategyOverride === undefined ? purpose : overrideLane(purpose, strategyOverride);
    const context: SelectionContext = { type, minVersion: range.wanted, callerId, purpose };
    return this.#pool(type, range).find(offers, lane, strategy, context, exclude, options.tryEjected);
  }

  /** Whether exactly one plugin satisfies the request and can take calls now. An unusable range is satisfied by nobody. */
  isSingleProvider(type: string, minVersion = ""): boolean {
    const offers = this.#catalog.offersOf(type);
    if (offers === undefined) return false;
    try {
      return this.#pool(type, this.#ranges.get(minVersion)).count(offers) === 1;
    } catch {
      return false;
    }
  }

  /** Every provider of `type` with its state: plugins in the order in which they began to offer it, then by version. */
  providers(type: string): ProviderStatus[] {
    return this.#catalog.providersOf(type).map(providerStatus);
  }

  /** Every service type that somebody provides. */
  services(): ServiceListing[] {
    return this.#catalog.types().map((type) => ({ type, providers: this.providers(type) }));
  }

  /** The strategy that chooses providers of `type`. @default `first` to discover, `round-robin` to route */
  selectionStrategy(type: string, purpose: SelectionPurpose): SelectionStrategy {
    return this.#strategies.get(type) ?? defaultStrategies[purpose];
  }

  /**
   * Sets how providers of `type` are chosen from now on, to discover and to route; undefined sets the defaults again.
   *
   * @throws PluginHostError `INVALID_ARGUMENT`
   */
  setSelectionStrategy(type: string, strategy: SelectionStrategy | undefined): void {
    checkName("type", type);
    if (strategy === undefined) {
      this.#strategies.delete(type);
      return;
    }
    this.#strategies.set(type, checkStrategy("strategy", strategy));
  }

  /**
   * The present state of `type`, then every change of it; see `WatchHub.watch`.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` (the range)
   */
  watch(type: string, options: WatchOptions = {}): AsyncIterable<ServiceView> {
    return this.#hub.watch(type, options);
  }

  /** Watches that have begun and not ended. */
  get openWatches(): number {
    return this.#hub.openWatches;
  }

  /** Ends every watch, and lets go of the catalog and of what the selections listen to. Idempotent. */
  close(): void {
    this.#unsubscribe();
    this.#hub.close();
    for (const type of [...this.#pools.keys()]) this.#forget(type);
  }

  #pool(type: string, range: VersionRange): CandidatePool {
    let pools = this.#pools.get(type);
    if (pools === undefined) {
      pools = new BoundedCache(maxRangesPerType, (gone) => gone.close());
      this.#pools.set(type, pools);
    }
    let pool = pools.get(range.wanted);
    if (pool === undefined) {
      pool = new CandidatePool(type, range, this.#sources);
      pools.set(range.wanted, pool);
    }
    return pool;
  }

  #forget(type: string): void {
    this.#pools.get(type)?.clear();
    this.#pools.delete(type);
  }
}

const overrideLane = (purpose: SelectionPurpose, strategy: SelectionStrategy): Lane =>
  `override ${purpose} ${typeof strategy === "function" ? "function" : strategy}`;
