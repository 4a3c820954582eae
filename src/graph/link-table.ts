import { canHoldBack, type GraphEntry, type Requirement } from "./graph-entry.js";

/**
 * The links among some plugins as numbers, for traversals of the whole graph: following the objects takes about ten
 * times as long. A plugin's number is its place in `entries`, a requirement's its place among all of them, so ascending
 * numbers are insertion order.
 *
 * Lists of lists lie in one array: those of item `n` are `values[starts[n]]` up to, not including,
 * `values[starts[n + 1]]`.
 */
export interface LinkTable {
  readonly entries: readonly GraphEntry[];
  /** By plugin: its runtime id. */
  readonly ids: readonly string[];
  /** By requirement, in the order of owners, then as each declares them: 1 if it is mandatory. */
  readonly isMandatory: Uint8Array;
  /** By requirement: 1 if its owner cannot start before somebody else; see `settle`. */
  readonly holdsBack: Uint8Array;
  /** By requirement: the plugin that has it. */
  readonly owners: Int32Array;
  readonly providerStarts: Int32Array;
  /** By requirement: the plugins that satisfy it, in no order. */
  readonly providers: Int32Array;
  readonly satisfiedStarts: Int32Array;
  /** By plugin: the requirements of others that it satisfies, ascending. */
  readonly satisfied: Int32Array;
}

/**
 * Builds the table, in time proportional to nodes and edges. Numbers the entries (`GraphEntry.rank`).
 *
 * @param entries in insertion order, with every provider of each of them
 */
export function buildLinkTable(entries: readonly GraphEntry[]): LinkTable {
  const requirements: Requirement[] = [];
  let linkCount = 0;
  for (const [rank, entry] of entries.entries()) {
    entry.rank = rank;
    for (const requirement of entry.requirements) {
      requirements.push(requirement);
      linkCount += requirement.providers.size;
    }
  }
  const owners = new Int32Array(requirements.length);
  const providerStarts = new Int32Array(requirements.length + 1);
  const providers = new Int32Array(linkCount);
  const satisfiedStarts = new Int32Array(entries.length + 1);
  const isMandatory = new Uint8Array(requirements.length);
  const holdsBack = new Uint8Array(requirements.length);
  let position = 0;
  for (const [index, requirement] of requirements.entries()) {
    owners[index] = requirement.owner.rank;
    isMandatory[index] = Number(requirement.mandatory);
    holdsBack[index] = Number(canHoldBack(requirement));
    for (const provider of requirement.providers) {
      providers[position++] = provider.rank;
      addTo(satisfiedStarts, provider.rank + 1, 1);
    }
    providerStarts[index + 1] = position;
  }
  for (let rank = 0; rank < entries.length; rank++) addTo(satisfiedStarts, rank + 1, at(satisfiedStarts, rank));
  const satisfied = reverse(providerStarts, providers, satisfiedStarts);
  const ids = entries.map(({ node }) => node.id);
  return { entries, ids, isMandatory, holdsBack, owners, providerStarts, providers, satisfiedStarts, satisfied };
}

/** The number at an index that is known to be inside of the array. */
export const at = (numbers: Int32Array | Uint8Array, index: number): number => numbers[index] as number;

const addTo = (numbers: Int32Array, index: number, amount: number): void => {
  numbers[index] = at(numbers, index) + amount;
};

/** Requirements by provider. They are dealt out in ascending order, so each list comes out sorted. */
function reverse(providerStarts: Int32Array, providers: Int32Array, satisfiedStarts: Int32Array): Int32Array {
  const satisfied = new Int32Array(providers.length);
  const next = satisfiedStarts.slice();
  for (let requirement = 0; requirement + 1 < providerStarts.length; requirement++) {
    const end = at(providerStarts, requirement + 1);
    for (let link = at(providerStarts, requirement); link < end; link++) {
      const provider = at(providers, link);
      satisfied[at(next, provider)] = requirement;
      addTo(next, provider, 1);
    }
  }
  return satisfied;
}
