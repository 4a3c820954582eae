import type { ServiceDependency } from "../model/declarations.js";
import { compileVersionRange, type VersionTest } from "../model/versions.js";
import type { GraphNode, ProvidedService } from "./graph-node.js";

/** Versions by service type. */
export type Offers = ReadonlyMap<string, readonly string[]>;

/** One dependency of one plugin, with the plugins that satisfy it now. */
export interface Requirement {
  readonly owner: GraphEntry;
  /** Index in the plugin's `requires`. */
  readonly position: number;
  readonly dependency: ServiceDependency;
  readonly accepts: VersionTest;
  /** Whether the plugin breaks without it; see `isMandatory`. */
  readonly mandatory: boolean;
  /** Whether a service of the owner would satisfy it. That meets nothing, because nobody can wait for himself. */
  readonly ownService: boolean;
  /** Never holds the owner. Its order means nothing. */
  readonly providers: Set<GraphEntry>;
}

/** A plugin in the graph: its node, compiled, and the links that the traversals follow. */
export interface GraphEntry {
  node: GraphNode;
  /** The node's key in graphlib. */
  readonly key: string;
  /** Place in insertion order; an update keeps it. */
  readonly sequence: number;
  readonly offers: Offers;
  readonly requirements: Requirement[];
  /** Requirements of others that this plugin satisfies. Its order means nothing. */
  readonly satisfies: Set<Requirement>;
  /** The plugin's number in the newest `LinkTable` that holds it. */
  rank: number;
}

/** Only what a plugin declared and marked required can break it or hold it back; what the host observed never does. */
export const isMandatory = (dependency: ServiceDependency): boolean =>
  dependency.required && dependency.source === "declared";

/** Whether the owner has to wait for somebody. What nobody in the graph can satisfy holds nobody back. */
export const canHoldBack = (requirement: Requirement): boolean =>
  requirement.mandatory && (requirement.providers.size > 0 || requirement.ownService);

/** Order of insertion. */
export const bySequence = (a: GraphEntry, b: GraphEntry): number => a.sequence - b.sequence;

/** Groups services by type. */
export function offersOf(services: readonly ProvidedService[]): Offers {
  const offers = new Map<string, string[]>();
  for (const { type, version } of services) {
    const versions = offers.get(type);
    if (versions === undefined) offers.set(type, [version]);
    else versions.push(version);
  }
  return offers;
}

/** Whether one of the offered versions of `type` is accepted. */
export const offersSatisfy = (offers: Offers, type: string, accepts: VersionTest): boolean =>
  offers.get(type)?.some(accepts) ?? false;

/**
 * Compiles a node. The entry is not linked to anything yet.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the field, such as `requires[0].minVersion`
 */
export function compileEntry(node: GraphNode, sequence: number): GraphEntry {
  const offers = offersOf(node.provides);
  const requirements: Requirement[] = [];
  // JSON keeps apart what graphlib's plain objects confuse: numbers come first in them, "constructor" is always
  // there, and \u0001 separates the two ends of an edge.
  const key = JSON.stringify(node.id);
  const entry: GraphEntry = { node, key, sequence, offers, requirements, satisfies: new Set(), rank: -1 };
  for (const [position, dependency] of node.requires.entries()) {
    requirements.push(compileRequirement(entry, position, dependency));
  }
  return entry;
}

/**
 * What an update adds to the end of an entry's requirements; undefined if it changes anything else. Not linked yet, and
 * the entry is as it was.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` as `compileEntry` does
 */
export function addedRequirements(entry: GraphEntry, node: GraphNode): Requirement[] | undefined {
  const { name, provides, requires } = entry.node;
  if (node.name !== name || node.provides.length !== provides.length || node.requires.length <= requires.length)
    return undefined;
  if (!provides.every((service, i) => service === node.provides[i])) return undefined;
  if (!requires.every((dependency, i) => dependency === node.requires[i])) return undefined;
  return node.requires
    .slice(requires.length)
    .map((dependency, i) => compileRequirement(entry, requires.length + i, dependency));
}

function compileRequirement(owner: GraphEntry, position: number, dependency: ServiceDependency): Requirement {
  const accepts = compileVersionRange(`requires[${position}].minVersion`, dependency.minVersion);
  return {
    owner,
    position,
    dependency,
    accepts,
    mandatory: isMandatory(dependency),
    ownService: offersSatisfy(owner.offers, dependency.type, accepts),
    providers: new Set(),
  };
}
