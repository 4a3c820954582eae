import type { Clock } from "../internal/clock.js";
import { DependencyAccess } from "./dependency-access.js";
import type { DependencyCalls } from "./dependency-calls.js";
import type { DependencyGroup } from "./dependency-group.js";
import type { DependencyWatch } from "./dependency-watch.js";
import { GroupState } from "./group-state.js";
import type { HostAccessCell } from "./host-access.js";
import type { OwnHealth } from "./own-health.js";
import type { PluginEventListener } from "./plugin-event.js";
import type { ResolvedDefinition } from "./resolve-definition.js";

/** One entry of `requires` while the plugin runs. */
export interface LiveDependency {
  readonly group: DependencyGroup;
  readonly state: GroupState;
  readonly access: DependencyAccess;
}

/** What the entries need of the plugin. */
export interface LiveDependencyOptions {
  readonly definition: ResolvedDefinition;
  readonly calls: DependencyCalls;
  readonly watches: ReadonlyMap<string, DependencyWatch>;
  readonly health: OwnHealth;
  readonly cell: HostAccessCell;
  readonly clock: Clock;
  readonly onEvent: PluginEventListener;
}

/** All entries of `requires`, in their order. */
export const liveDependencies = (options: LiveDependencyOptions): readonly LiveDependency[] =>
  options.definition.groups.map((group) => {
    const { definition, calls, watches, health, cell, clock, onEvent } = options;
    const onListenerError = (error: unknown): void => onEvent({ kind: "error", error });
    const state = new GroupState({ group, watches, health, onListenerError });
    const access = new DependencyAccess({
      group,
      state,
      calls,
      told: Promise.all(group.members.map(({ type }) => watches.get(type)?.told)).then(() => {}),
      waitMs: definition.identityWaitMs,
      interceptors: definition.interceptors,
      clock,
      hasBeen: (runtimeId) => cell.hasUsed(runtimeId),
      onCircuit: (type, { provider, state, reason }) => onEvent({ kind: "circuit", type, provider, state, reason }),
    });
    return { group, state, access };
  });
