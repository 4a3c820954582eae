import { Emitter } from "../internal/emitter.js";
import type { DependencyGroup } from "./dependency-group.js";
import { type DependencyWatch, withoutHost } from "./dependency-watch.js";
import type { OwnHealth } from "./own-health.js";
import type { DependencyState } from "./plugin-definition.js";

/** What the state of a group is made from. */
export interface GroupStateOptions {
  readonly group: DependencyGroup;
  readonly watches: ReadonlyMap<string, Pick<DependencyWatch, "onChange">>;
  readonly health: OwnHealth;
  readonly onListenerError: (error: unknown) => void;
}

/**
 * How the service types of one entry of `requires` are together: as good as the best of them. Holds the loss of all of them against the plugin's
 * health until one is back.
 */
export class GroupState {
  readonly #options: GroupStateOptions;
  readonly #states = new Map<string, DependencyState>();
  readonly #changes: Emitter<{ change: DependencyState }>;
  #current: DependencyState | undefined;
  #wasThere = false;
  #release: (() => void) | undefined;

  constructor(options: GroupStateOptions) {
    this.#options = options;
    this.#changes = new Emitter(options.onListenerError);
    for (const { type } of options.group.members) {
      options.watches.get(type)?.onChange((state) => {
        this.#states.set(type, state);
        this.#update();
      });
    }
  }

  /** Whether any of the types was ever seen there. */
  get wasThere(): boolean {
    return this.#wasThere;
  }

  /** Undefined until the host has told. */
  stateOf(type: string): DependencyState | undefined {
    return this.#states.get(type);
  }

  /** Calls `listener` for what is known of one service type, and after each change of it. */
  onMember(type: string, listener: (state: DependencyState) => void): void {
    this.#options.watches.get(type)?.onChange(listener);
  }

  /** Calls `listener` at once if the state is known, and after each change. */
  onChange(listener: (state: DependencyState) => void): () => void {
    if (this.#current !== undefined) listener(this.#current);
    return this.#changes.on("change", listener);
  }

  /** Calls `listener` each time the group is lost; at once if it is lost now. */
  onLost(listener: (state: DependencyState) => void): () => void {
    let isLost = false;
    return this.onChange((state) => {
      const was = isLost;
      isLost = state.state === "unavailable";
      if (isLost && !was) listener(state);
    });
  }

  /** Calls `listener` each time the group is back after it was lost. */
  onBack(listener: (state: DependencyState) => void): () => void {
    let isLost = false;
    return this.onChange((state) => {
      const was = isLost;
      isLost = state.state === "unavailable";
      if (was && !isLost) listener(state);
    });
  }

  #update(): void {
    const next = this.#together();
    if (next === undefined || (next.state === this.#current?.state && next.reason === this.#current.reason)) return;
    this.#current = next;
    if (next.state !== "unavailable") this.#wasThere = true;
    this.#judge(next);
    this.#changes.emit("change", next);
  }

  #together(): DependencyState | undefined {
    const { members } = this.#options.group;
    const known = members.map(({ type }) => this.#states.get(type)).filter((state) => state !== undefined);
    for (const state of ["available", "degraded"]) {
      const best = known.find((one) => one.state === state);
      if (best !== undefined) return best;
    }
    if (known.length < members.length) return undefined;
    const [only, ...others] = known;
    if (others.length === 0 || known.every((state) => state === withoutHost)) return only;
    const reason = members.map(({ type }) => `${type}: ${this.#states.get(type)?.reason || "unavailable"}`).join(", ");
    return { state: "unavailable", reason };
  }

  #judge(state: DependencyState): void {
    const { group, health } = this.#options;
    const before = this.#release;
    this.#release = undefined;
    // Nothing is known of a dependency while there is no host, and nobody else is there to be told.
    if (group.whenLost !== "ignore" && state.state === "unavailable" && state !== withoutHost) {
      const types = group.members.map(({ type }) => type);
      const why = state.reason === "" ? "" : `: ${state.reason}`;
      this.#release = health.hold(group.whenLost, `${group.name} is unavailable${why}`, types);
    }
    // In this order, so that a new reason does not look like a recovery in between.
    before?.();
  }
}
