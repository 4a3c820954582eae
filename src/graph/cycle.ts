import { PluginHostError } from "../errors.js";
import { bySequence, type GraphEntry, type Requirement } from "./graph-entry.js";
import type { Settled } from "./startup-order.js";

const maxNamesInMessage = 20;

/** Plugins that wait for each other. Each waits for the next one, and the last is the first again. */
export interface DependencyCycle {
  /** Runtime ids. */
  readonly path: readonly string[];
  /** The same path in the words of people. */
  readonly names: readonly string[];
}

/** The error for a cycle: `DEPENDENCY_CYCLE`, with the ids in `details.path`. Long paths are cut in the message only. */
export function cycleError(cycle: DependencyCycle): PluginHostError {
  const { names, path } = cycle;
  const left = names.length - maxNamesInMessage;
  const shown = left <= 0 ? names : [...names.slice(0, maxNamesInMessage - 1), `(${left} more)`, ...names.slice(-1)];
  return new PluginHostError(
    "DEPENDENCY_CYCLE",
    `plugins wait for each other: ${shown.join(" -> ")}; mark one of these dependencies optional, or add another provider`,
    { details: { path: [...path] } },
  );
}

/**
 * Names one cycle among plugins that are stuck, or undefined if none is. The shortest one through the first of
 * `preferred` that is on any; otherwise the one that the first stuck plugin waits for.
 */
export function findCycleAmong(stuck: Settled["stuck"], preferred: readonly GraphEntry[]): DependencyCycle | undefined {
  for (const entry of preferred) {
    const cycle = stuck.has(entry) ? shortestCycleThrough(entry, stuck) : undefined;
    if (cycle !== undefined) return describe(cycle);
  }
  const [first] = stuck.keys();
  return first === undefined ? undefined : describe(startAtEarliest(follow(first, stuck)));
}

/** All that hold `entry` back through one of its requirements. */
const blockersOf = (entry: GraphEntry, requirement: Requirement): GraphEntry[] =>
  requirement.ownService && requirement.providers.size === 0 ? [entry] : [...requirement.providers].sort(bySequence);

/** Goes from blocker to blocker until one comes again. Ends, because a blocker of a stuck plugin is stuck itself. */
function follow(first: GraphEntry, stuck: Settled["stuck"]): GraphEntry[] {
  const positions = new Map<GraphEntry, number>();
  let entry: GraphEntry | undefined = first;
  while (entry !== undefined && !positions.has(entry)) {
    positions.set(entry, positions.size);
    const requirement: Requirement | undefined = stuck.get(entry)?.[0];
    entry = requirement === undefined ? undefined : blockersOf(entry, requirement)[0];
  }
  return [...positions.keys()].slice(entry === undefined ? 0 : positions.get(entry));
}

/** Breadth first from `start` until a plugin waits for `start` again. */
function shortestCycleThrough(start: GraphEntry, stuck: Settled["stuck"]): GraphEntry[] | undefined {
  const cameFrom = new Map<GraphEntry, GraphEntry | undefined>([[start, undefined]]);
  // A Map may grow while it is walked, so it is the queue as well.
  for (const entry of cameFrom.keys()) {
    for (const requirement of stuck.get(entry) ?? []) {
      for (const blocker of blockersOf(entry, requirement)) {
        if (blocker === start) return trace(entry, cameFrom);
        if (!cameFrom.has(blocker)) cameFrom.set(blocker, entry);
      }
    }
  }
  return undefined;
}

function trace(last: GraphEntry, cameFrom: ReadonlyMap<GraphEntry, GraphEntry | undefined>): GraphEntry[] {
  const path: GraphEntry[] = [];
  for (let entry: GraphEntry | undefined = last; entry !== undefined; entry = cameFrom.get(entry)) path.push(entry);
  return path.reverse();
}

function startAtEarliest(cycle: readonly GraphEntry[]): GraphEntry[] {
  let earliest = 0;
  for (const [index, entry] of cycle.entries()) {
    if (entry.sequence < (cycle[earliest]?.sequence ?? 0)) earliest = index;
  }
  return [...cycle.slice(earliest), ...cycle.slice(0, earliest)];
}

function describe(cycle: readonly GraphEntry[]): DependencyCycle {
  const closed = [...cycle, ...cycle.slice(0, 1)];
  return { path: closed.map(({ node }) => node.id), names: closed.map(({ node }) => node.name ?? node.id) };
}
