import type { GraphEntry } from "./graph-entry.js";
import { at, type LinkTable } from "./link-table.js";

/** What goes wrong if a plugin goes away without a replacement. */
export interface Impact {
  /**
   * Service types of the removed plugin, in the order in which it declares them, that somebody can miss: afterwards no
   * unbroken plugin provides the type at all, or a dependency (required or optional) that the removed plugin satisfied
   * has no unbroken provider in its range. Types of plugins that break in turn are not listed.
   */
  readonly affectedServices: readonly string[];
  /**
   * Runtime ids of the plugins that break: a required dependency of theirs loses its last provider in range, because
   * that is removed or breaks itself. Breadth first from the removed plugin, in insertion order among equals.
   */
  readonly affectedPlugins: readonly string[];
  /**
   * Runtime ids of the plugins that do not break, but lose the last provider of an optional or observed dependency.
   * Nothing follows from that for others. Same order.
   */
  readonly optionalImpact: readonly string[];
}

/**
 * Works out who really breaks without `removed`. Plugins count as running: two that need each other's services keep
 * each other up, though neither could be started first. What is missing already is not lost again.
 *
 * @param table with all plugins of the graph
 * @param providersOf everybody who provides a type, in any version
 */
export function impactOf(
  removed: GraphEntry,
  table: LinkTable,
  providersOf: (type: string) => Iterable<GraphEntry>,
): Impact {
  const { ids, isMandatory, owners, providerStarts, satisfiedStarts, satisfied } = table;
  const isBroken = new Uint8Array(ids.length);
  const broken = [removed.rank];
  isBroken[removed.rank] = 1;
  const degraded = new Set<number>();
  const lostProviders = new Int32Array(owners.length);
  for (const gone of broken) {
    const end = at(satisfiedStarts, gone + 1);
    for (let link = at(satisfiedStarts, gone); link < end; link++) {
      const requirement = at(satisfied, link);
      const lost = at(lostProviders, requirement) + 1;
      lostProviders[requirement] = lost;
      if (lost < at(providerStarts, requirement + 1) - at(providerStarts, requirement)) continue;
      const owner = at(owners, requirement);
      if (isMandatory[requirement] === 0) degraded.add(owner);
      else if (isBroken[owner] === 0) {
        isBroken[owner] = 1;
        // The array is its own queue: the loop over it goes on with what is added here.
        broken.push(owner);
      }
    }
  }
  const idsOf = (ranks: readonly number[]): string[] => ranks.map((rank) => ids[rank] as string);
  return {
    affectedServices: affectedServices(removed, ({ rank }) => isBroken[rank] === 1, providersOf),
    affectedPlugins: idsOf(broken.slice(1)),
    optionalImpact: idsOf([...degraded].filter((rank) => isBroken[rank] === 0)),
  };
}

function affectedServices(
  removed: GraphEntry,
  isBroken: (entry: GraphEntry) => boolean,
  providersOf: (type: string) => Iterable<GraphEntry>,
): string[] {
  const allBroken = (providers: Iterable<GraphEntry>): boolean => {
    for (const provider of providers) if (!isBroken(provider)) return false;
    return true;
  };
  const lost = new Set<string>();
  for (const requirement of removed.satisfies) {
    const { type } = requirement.dependency;
    if (!lost.has(type) && allBroken(requirement.providers)) lost.add(type);
  }
  return [...removed.offers.keys()].filter((type) => lost.has(type) || allBroken(providersOf(type)));
}
