import type { Clock, Timer } from "../internal/clock.js";
import type { Change, RuntimeId } from "../model/catalog.js";

interface Alias {
  readonly to: RuntimeId;
  /** Plugins that may still hold the old id. */
  readonly holders: Set<RuntimeId>;
  readonly timer: Timer;
}

/** Settings of {@link Aliases}. */
export interface AliasesOptions {
  readonly clock: Clock;
  /** Longest life of an alias in milliseconds. */
  readonly lifeMs: number;
  /** Makes changes visible. */
  readonly apply: (changes: readonly Change[]) => void;
}

/**
 * Keeps old runtime ids answering after a replacement: until every plugin that was there to learn the old id is gone,
 * the one behind it is, or the time is up.
 */
export class Aliases {
  readonly #options: AliasesOptions;
  readonly #aliases = new Map<RuntimeId, Alias>();

  constructor(options: AliasesOptions) {
    this.#options = options;
  }

  /** The change that makes `from` lead to `to`. The caller applies it together with what belongs to it. */
  add(from: RuntimeId, to: RuntimeId, holders: Iterable<RuntimeId>): Change {
    const others = new Set(holders);
    others.delete(from);
    others.delete(to);
    const timer = this.#options.clock.after(this.#options.lifeMs, () => this.#remove([from]));
    this.#aliases.get(from)?.timer.cancel();
    this.#aliases.set(from, { to, holders: others, timer });
    for (const [older, alias] of this.#aliases) {
      if (alias.to === from) this.#aliases.set(older, { ...alias, to });
    }
    return { kind: "alias-put", from, to };
  }

  /** The changes that follow from a plugin's end: aliases that led to it, or that it was the last to hold. */
  changesAfterEndOf(runtimeId: RuntimeId): Change[] {
    const ended: RuntimeId[] = [];
    for (const [from, alias] of this.#aliases) {
      const wasHolder = alias.holders.delete(runtimeId);
      if (alias.to === runtimeId || (wasHolder && alias.holders.size === 0)) ended.push(from);
    }
    return ended.map((from) => this.#forget(from));
  }

  /** What `from` may hold is held by `into` from now on, since both are one program. */
  passOn(from: RuntimeId, into: RuntimeId): void {
    for (const { holders } of this.#aliases.values()) if (holders.delete(from)) holders.add(into);
  }

  /** Cancels all timers. */
  close(): void {
    for (const alias of this.#aliases.values()) alias.timer.cancel();
    this.#aliases.clear();
  }

  #remove(ids: readonly RuntimeId[]): void {
    this.#options.apply(ids.map((from) => this.#forget(from)));
  }

  #forget(from: RuntimeId): Change {
    this.#aliases.get(from)?.timer.cancel();
    this.#aliases.delete(from);
    return { kind: "alias-removed", from };
  }
}
