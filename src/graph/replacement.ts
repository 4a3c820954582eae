import { bySequence, type GraphEntry, offersOf, offersSatisfy, type Requirement } from "./graph-entry.js";
import type { ProvidedService } from "./graph-node.js";

/** A required dependency that a replacement would leave without a provider. */
export interface MissingService {
  /** Runtime id of the plugin that needs it. */
  readonly dependant: string;
  readonly type: string;
  /** The range that it declared; empty means any version. */
  readonly minVersion: string;
}

const byOwner = (a: Requirement, b: Requirement): number => bySequence(a.owner, b.owner) || a.position - b.position;

/**
 * The required dependencies of other plugins that only `old` satisfies and a plugin that provides `newProvides` would
 * not. Direct ones only. In insertion order of the dependants, then as each of them declared.
 */
export function missingAfterReplace(old: GraphEntry, newProvides: readonly ProvidedService[]): MissingService[] {
  const offers = offersOf(newProvides);
  return [...old.satisfies]
    .filter(({ mandatory, providers }) => mandatory && providers.size === 1)
    .filter(({ dependency, accepts }) => !offersSatisfy(offers, dependency.type, accepts))
    .sort(byOwner)
    .map(({ owner, dependency: { type, minVersion } }) => ({ dependant: owner.node.id, type, minVersion }));
}
