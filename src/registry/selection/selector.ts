import { invalid } from "../../errors.js";
import type { Unsubscribe } from "../../internal/emitter.js";
import type { RuntimeId } from "../../model/catalog.js";
import { shown } from "../../model/limits.js";
import type { Provider } from "../provider.js";

/** What a selection is for. Discovery hands out a provider to keep; routing chooses one per call. */
export type SelectionPurpose = "discover" | "route";

/** What is known of a request for a provider. */
export interface SelectionContext {
  readonly type: string;
  /** As it was asked for; empty means any version. */
  readonly minVersion: string;
  /** The plugin that asks; undefined if it is not a plugin. */
  readonly callerId: RuntimeId | undefined;
  readonly purpose: SelectionPurpose;
}

/**
 * A choice of the user's own. Gets at least one candidate, all of them equally well: the healthy ones if there are
 * any, otherwise the degraded ones; never one that was excluded. Must return one of them, at once.
 */
export type CustomSelection = (candidates: readonly Provider[], context: SelectionContext) => Provider;

/**
 * The ways to choose that have a name. `first`: the one that has offered the type longest. `round-robin`: each in
 * turn. `random`: each with the same chance. `weighted`: in proportion to the metadata `weight`, evenly spread.
 * `least-in-flight`: the one that works on the fewest calls, in turn among equals.
 */
export const selectionStrategyNames = ["first", "round-robin", "random", "weighted", "least-in-flight"] as const;

/** One of {@link selectionStrategyNames}. */
export type SelectionStrategyName = (typeof selectionStrategyNames)[number];

/** How a provider is chosen among those that may be. */
export type SelectionStrategy = SelectionStrategyName | CustomSelection;

/**
 * Checks what a user gave as a strategy and returns it.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names `field`
 */
export function checkStrategy(field: string, strategy: SelectionStrategy): SelectionStrategy {
  if (typeof strategy === "function" || selectionStrategyNames.includes(strategy)) return strategy;
  throw invalid(
    field,
    `must be one of ${selectionStrategyNames.join(", ")}, or a function, got ${shown(String(strategy))}`,
  );
}

/** Tells how many calls each provider works on. */
export interface InFlightSource {
  inFlightOf(runtimeId: RuntimeId): number;
  /** Calls `listener` after each change of a count. */
  onChange(listener: (runtimeId: RuntimeId) => void): Unsubscribe;
}

/** Chooses among the candidates of one list, and keeps its fairness while the list changes. */
export interface Selector {
  /** Puts another list in place of the present one. Candidates that stay keep their turn. */
  update(candidates: readonly Provider[]): void;
  /** One of the candidates that is not excluded; undefined if there is none. */
  choose(context: SelectionContext, exclude: ReadonlySet<RuntimeId> | undefined): Provider | undefined;
  /** Lets go of everything that the selector listens to. */
  close(): void;
}

/** Whether `provider` is among those that must not be chosen. */
export const isExcluded = (provider: Provider, exclude: ReadonlySet<RuntimeId> | undefined): boolean =>
  exclude?.has(provider.plugin.runtimeId) ?? false;

/** The candidates that are not excluded; the same array if nobody is. */
export const withoutExcluded = (
  candidates: readonly Provider[],
  exclude: ReadonlySet<RuntimeId> | undefined,
): readonly Provider[] =>
  exclude === undefined || exclude.size === 0
    ? candidates
    : candidates.filter((provider) => !isExcluded(provider, exclude));
