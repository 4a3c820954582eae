import { type Deferred, deferred } from "./deferred.js";

/** One unit of work that is going on. */
export interface InFlightEntry {
  /** Ends the work early; called at most once, by `abortAll`. */
  abort(reason: Error): void;
}

/** Counts work in flight, tells when there is none, and can end all of it. */
export class InFlight {
  readonly #entries = new Set<InFlightEntry>();
  #idle: Deferred<void> | undefined;
  /** Called after each change of `count`. */
  onChange: (() => void) | undefined;
  /** Called after an entry has left, before anybody is told that nothing is in flight: others may take its place. */
  onLeave: (() => void) | undefined;

  get count(): number {
    return this.#entries.size;
  }

  enter(entry: InFlightEntry): void {
    this.#entries.add(entry);
    this.onChange?.();
  }

  /** Idempotent. */
  leave(entry: InFlightEntry): void {
    if (!this.#entries.delete(entry)) return;
    this.onChange?.();
    this.onLeave?.();
    if (this.#entries.size === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
  }

  /** Resolves when nothing is in flight; at once if nothing is. */
  whenIdle(): Promise<void> {
    if (this.#entries.size === 0) return Promise.resolve();
    this.#idle ??= deferred();
    return this.#idle.promise;
  }

  /** Aborts everything that is in flight now. Each entry still leaves by itself. */
  abortAll(reason: Error): void {
    for (const entry of [...this.#entries]) entry.abort(reason);
  }
}
