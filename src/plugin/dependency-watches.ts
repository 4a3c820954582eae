import { DependencyWatch, type DependencyWatchOptions } from "./dependency-watch.js";
import type { ResolvedDefinition } from "./resolve-definition.js";

/** What all watches of a plugin share. */
export interface DependencyWatchesOptions extends Omit<DependencyWatchOptions, "onNews"> {
  /** Called for every message of the host about a type, also if its state is the same. */
  readonly onNews: (type: string) => void;
}

/** One watch for each service type that a plugin requires, by the type. None of them runs yet. */
export const dependencyWatches = (
  { requires }: Pick<ResolvedDefinition, "requires">,
  { onNews, ...options }: DependencyWatchesOptions,
): ReadonlyMap<string, DependencyWatch> =>
  new Map(
    requires.map((dependency) => {
      const { type } = dependency;
      return [type, new DependencyWatch(dependency, { ...options, onNews: () => onNews(type) })] as const;
    }),
  );
