import { CustomSelector } from "./custom.js";
import { FirstSelector } from "./first.js";
import { type InFlightFeed, LeastInFlightSelector } from "./least-in-flight.js";
import { RandomSelector } from "./random.js";
import { RoundRobinSelector } from "./round-robin.js";
import type { SelectionStrategy, Selector } from "./selector.js";
import { WeightedSelector } from "./weighted.js";

/** What the strategies need from outside. */
export interface SelectorSources {
  /** Gives numbers from 0 up to, but not including, 1. */
  readonly random: () => number;
  readonly inFlight: InFlightFeed;
  /** Gets what a function of the user's own throws, or the complaint about what it returned. */
  readonly onSelectionError: (error: unknown, type: string) => void;
}

/** Makes the selector of a strategy. */
export function createSelector(strategy: SelectionStrategy, sources: SelectorSources): Selector {
  if (typeof strategy === "function") return new CustomSelector(strategy, sources.onSelectionError);
  switch (strategy) {
    case "first":
      return new FirstSelector();
    case "round-robin":
      return new RoundRobinSelector();
    case "random":
      return new RandomSelector(sources.random);
    case "weighted":
      return new WeightedSelector();
    case "least-in-flight":
      return new LeastInFlightSelector(sources.inFlight);
  }
}
