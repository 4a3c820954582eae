import type { RuntimeId } from "../model/catalog.js";
import { explainAllExcluded, explainNoCompatibleVersion, explainNoHealthyProvider } from "./explain.js";
import { type FindFailure, type FindResult, notFound } from "./find-result.js";
import type { Provider, TypeOffers } from "./provider.js";
import { isEjected, providerState } from "./provider-state.js";
import { createSelector, type SelectorSources } from "./selection/create-selector.js";
import type { SelectionContext, SelectionStrategy, Selector } from "./selection/selector.js";
import type { VersionRange } from "./version-range.js";

/** One use of a pool with a turn of its own: discovering must not disturb the round of routing. */
export type Lane = "discover" | "route" | `override ${string}`;

interface LaneState {
  readonly strategy: SelectionStrategy;
  readonly healthy: Selector;
  readonly degraded: Selector;
  readonly ejected: Selector;
  generation: number;
}

/**
 * The candidates of one service type and range, and the state of the selections among them. The lists are made when
 * they are first asked for after a change of the type; until the next change each choice costs what its strategy costs.
 */
export class CandidatePool {
  readonly #type: string;
  readonly #range: VersionRange;
  readonly #sources: SelectorSources;
  readonly #lanes = new Map<Lane, LaneState>();
  #generation = -1;
  #healthy: readonly Provider[] = [];
  #degraded: readonly Provider[] = [];
  /** Unhealthy only because calls failed. */
  #ejected: readonly Provider[] = [];
  #failure: FindFailure | undefined;

  constructor(type: string, range: VersionRange, sources: SelectorSources) {
    this.#type = type;
    this.#range = range;
    this.#sources = sources;
  }

  /** How many providers fit and may be chosen. */
  count(offers: TypeOffers): number {
    this.#refresh(offers);
    return this.#healthy.length + this.#degraded.length;
  }

  /** Chooses in `lane`. `offers` are those of the pool's type, now. With `tryEjected`, ejected ones if there are no others. */
  find(
    offers: TypeOffers,
    lane: Lane,
    strategy: SelectionStrategy,
    context: SelectionContext,
    exclude: ReadonlySet<RuntimeId> | undefined,
    tryEjected = false,
  ): FindResult {
    this.#refresh(offers);
    const { healthy, degraded, ejected } = this.#lane(lane, strategy);
    let provider = healthy.choose(context, exclude) ?? degraded.choose(context, exclude);
    if (provider === undefined && tryEjected && this.#healthy.length + this.#degraded.length === 0) {
      provider = ejected.choose(context, exclude);
    }
    return provider === undefined ? this.#explain(offers, exclude) : { kind: "found", provider };
  }

  /** Lets go of everything that the selections listen to. */
  close(): void {
    for (const lane of this.#lanes.values()) closeLane(lane);
    this.#lanes.clear();
  }

  #refresh(offers: TypeOffers): void {
    if (this.#generation === offers.generation) return;
    const healthy: Provider[] = [];
    const degraded: Provider[] = [];
    const ejected: Provider[] = [];
    for (const offer of offers.byPlugin.values()) {
      const state = providerState(offer.plugin);
      const group =
        state === "healthy" ? healthy : state === "degraded" ? degraded : isEjected(offer.plugin) ? ejected : undefined;
      const provider = group === undefined ? undefined : this.#range.pick(offer);
      if (provider !== undefined) group?.push(provider);
    }
    // Frozen, because functions of users get them.
    this.#healthy = Object.freeze(healthy);
    this.#degraded = Object.freeze(degraded);
    this.#ejected = Object.freeze(ejected);
    this.#failure = undefined;
    this.#generation = offers.generation;
  }

  #lane(name: Lane, strategy: SelectionStrategy): LaneState {
    let lane = this.#lanes.get(name);
    if (lane?.strategy !== strategy) {
      if (lane !== undefined) closeLane(lane);
      const healthy = createSelector(strategy, this.#sources);
      const degraded = createSelector(strategy, this.#sources);
      lane = { strategy, healthy, degraded, ejected: createSelector(strategy, this.#sources), generation: -1 };
      this.#lanes.set(name, lane);
    }
    if (lane.generation !== this.#generation) {
      lane.healthy.update(this.#healthy);
      lane.degraded.update(this.#degraded);
      lane.ejected.update(this.#ejected);
      lane.generation = this.#generation;
    }
    return lane;
  }

  #explain(offers: TypeOffers, exclude: ReadonlySet<RuntimeId> | undefined): FindFailure {
    if (exclude !== undefined && this.#healthy.length + this.#degraded.length > 0) {
      return notFound("NO_HEALTHY_PROVIDER", explainAllExcluded(this.#type, this.#range, exclude));
    }
    this.#failure ??= this.#failureOf(offers);
    return this.#failure;
  }

  #failureOf(offers: TypeOffers): FindFailure {
    for (const offer of offers.byPlugin.values()) {
      if (this.#range.pick(offer) === undefined) continue;
      return notFound("NO_HEALTHY_PROVIDER", explainNoHealthyProvider(this.#type, this.#range, offers));
    }
    return notFound("NO_COMPATIBLE_VERSION", explainNoCompatibleVersion(this.#type, this.#range, offers));
  }
}

function closeLane(lane: LaneState): void {
  lane.healthy.close();
  lane.degraded.close();
  lane.ejected.close();
}
