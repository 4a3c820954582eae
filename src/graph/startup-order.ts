import { canHoldBack, type GraphEntry, type Requirement } from "./graph-entry.js";
import { at, type LinkTable } from "./link-table.js";

/** What can start, in which levels, and what never can. */
export interface Settled {
  /** Runtime ids. Each level needs only what is in the levels before it. Insertion order inside a level. */
  readonly levels: string[][];
  /** The plugins that wait for each other for ever, with the requirements that hold each of them back. */
  readonly stuck: ReadonlyMap<GraphEntry, readonly Requirement[]>;
}

const never = -1;

/**
 * Starts plugins in thought, level by level. A mandatory requirement is met as soon as one of its providers has
 * started; one that nobody in the graph can satisfy holds nobody back. Every plugin starts as early as it can.
 */
export function settle(table: LinkTable): Settled {
  const levelOf = new Int32Array(table.entries.length).fill(never);
  const levelCount = assignLevels(table, levelOf);
  const levels: string[][] = Array.from({ length: levelCount }, () => []);
  const stuck = new Map<GraphEntry, Requirement[]>();
  const hasStarted = ({ rank }: GraphEntry): boolean => at(levelOf, rank) !== never;
  for (const [rank, id] of table.ids.entries()) {
    const level = levels[at(levelOf, rank)];
    if (level !== undefined) level.push(id);
    const entry = level === undefined ? table.entries[rank] : undefined;
    if (entry === undefined) continue;
    const open = entry.requirements.filter((need) => canHoldBack(need) && ![...need.providers].some(hasStarted));
    stuck.set(entry, open);
  }
  return { levels, stuck };
}

/** Writes the level of each plugin that can start into `levelOf`. Returns the number of levels. */
function assignLevels(table: LinkTable, levelOf: Int32Array): number {
  const { holdsBack, owners, satisfiedStarts, satisfied } = table;
  const isOpen = holdsBack.slice();
  const pending = new Int32Array(levelOf.length);
  for (let requirement = 0; requirement < owners.length; requirement++) {
    const owner = at(owners, requirement);
    pending[owner] = at(pending, owner) + at(isOpen, requirement);
  }
  let ready: number[] = [];
  for (let rank = 0; rank < pending.length; rank++) if (at(pending, rank) === 0) ready.push(rank);
  let level = 0;
  for (; ready.length > 0; level++) {
    const next: number[] = [];
    for (const started of ready) {
      levelOf[started] = level;
      const end = at(satisfiedStarts, started + 1);
      for (let link = at(satisfiedStarts, started); link < end; link++) {
        const requirement = at(satisfied, link);
        if (isOpen[requirement] === 0) continue;
        isOpen[requirement] = 0;
        const owner = at(owners, requirement);
        const left = at(pending, owner) - 1;
        pending[owner] = left;
        if (left === 0) next.push(owner);
      }
    }
    ready = next;
  }
  return level;
}
