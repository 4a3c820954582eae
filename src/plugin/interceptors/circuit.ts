import type { Clock } from "../../internal/clock.js";

/** How a circuit is: calls pass, none passes, or one passes to try. */
export type CircuitState = "closed" | "open" | "half-open";

/** Permission for one call, to be given back with its result. */
export interface Pass {
  readonly kind: "pass";
  readonly era: number;
}

/** What becomes of a call. */
export type Entrance = Pass | { readonly kind: "refused"; readonly retryAfterMs: number; readonly lastFailure: string };

/** Counts the changes of all circuits together, so that a call can be compared with circuits that it did not know when it began. */
export class Eras {
  #now = 0;

  get now(): number {
    return this.#now;
  }

  begin(): number {
    this.#now += 1;
    return this.#now;
  }
}

type State =
  | { readonly kind: "closed"; readonly failures: number }
  | { readonly kind: "open"; readonly tryAt: number; readonly lastFailure: string; readonly mayHaveGone: boolean }
  | {
      readonly kind: "half-open";
      /** When another call is let through although the one before has no result; it may be a stream that is silent. */
      readonly tryAt: number;
      readonly lastFailure: string;
      readonly since: number;
      /** Whether there was nobody at all before it was let through. */
      readonly mayHaveGone: boolean;
      /** Whether the last call that was let through has gone to somebody else. */
      readonly isPassedOver: boolean;
    };

/** What a circuit needs. */
export interface CircuitOptions {
  readonly failures: number;
  readonly openMs: number;
  readonly clock: Clock;
  readonly eras: Eras;
  readonly onChange: (state: CircuitState, reason: string) => void;
}

/** Counts failures in a row, and keeps calls away when there were too many, until one that is let through succeeds. */
export class Circuit {
  readonly #options: CircuitOptions;
  #state: State = { kind: "closed", failures: 0 };
  // Results of calls from before a change say nothing of the time after it.
  #era = 0;

  constructor(options: CircuitOptions) {
    this.#options = options;
  }

  get state(): CircuitState {
    return this.#state.kind;
  }

  /** Whether nothing is known against the provider. */
  get isClean(): boolean {
    return this.#state.kind === "closed" && this.#state.failures === 0;
  }

  /** Whether a call that came now would be let through. */
  get isPassable(): boolean {
    const state = this.#state;
    return state.kind === "closed" || state.tryAt <= this.#options.clock.monotonic();
  }

  /**
   * Whether the last call that was let through went to somebody else, and the provider is hardly there any more: calls have been let through for
   * `openMs`, or there had been nobody before.
   */
  get isForsaken(): boolean {
    const state = this.#state;
    if (state.kind !== "half-open" || !state.isPassedOver) return false;
    return state.mayHaveGone || this.#options.clock.monotonic() - state.since >= this.#options.openMs;
  }

  /** What a call is told that is not let through; undefined if none has to be. */
  get refusal(): Extract<Entrance, { kind: "refused" }> | undefined {
    const state = this.#state;
    if (state.kind === "closed") return undefined;
    const leftMs = state.kind === "open" ? state.tryAt - this.#options.clock.monotonic() : 0;
    return { kind: "refused", retryAfterMs: Math.max(0, leftMs), lastFailure: state.lastFailure };
  }

  enter(): Entrance {
    const { refusal } = this;
    if (refusal === undefined) return { kind: "pass", era: this.#options.eras.now };
    return this.isPassable ? this.#try(refusal.lastFailure) : refusal;
  }

  succeeded({ era }: Pass): void {
    if (era < this.#era) return;
    if (this.#state.kind === "closed") this.#state = { kind: "closed", failures: 0 };
    else this.#change({ kind: "closed", failures: 0 }, "a call succeeded");
  }

  /**
   * A stream has begun. That ends a trial but no row of failures, or streams that all break would never make one. Returns the permission
   * for the rest of it.
   */
  begun(pass: Pass): Pass {
    if (pass.era < this.#era || this.#state.kind === "closed") return pass;
    this.succeeded(pass);
    return { kind: "pass", era: this.#era };
  }

  failed({ era }: Pass, reason: string): void {
    if (era < this.#era) return;
    const failures = this.#state.kind === "closed" ? this.#state.failures + 1 : this.#options.failures;
    if (failures < this.#options.failures) this.#state = { kind: "closed", failures };
    else {
      const tryAt = this.#options.clock.monotonic() + this.#options.openMs;
      this.#change({ kind: "open", tryAt, lastFailure: reason, mayHaveGone: false }, reason);
    }
  }

  /** The call ended in a way that says nothing of the provider; `isPassedOver` if that is because somebody else was asked. */
  undecided({ era }: Pass, isPassedOver = false): void {
    if (era < this.#era || this.#state.kind !== "half-open") return;
    this.#state = { ...this.#state, tryAt: this.#options.clock.monotonic(), isPassedOver };
  }

  /** There is reason to believe that it works again: the next call tries. `mayHaveGone`: it may as well be that somebody else does. */
  retest(mayHaveGone = false): void {
    if (this.#state.kind !== "open") return;
    this.#state = { ...this.#state, tryAt: this.#options.clock.monotonic(), mayHaveGone };
  }

  /** Nothing is known of the provider any more, and so nothing against it. */
  forget(reason: string): void {
    if (this.#state.kind !== "closed") this.#change({ kind: "closed", failures: 0 }, reason);
  }

  #try(lastFailure: string): Pass {
    const { clock, openMs, eras } = this.#options;
    const now = clock.monotonic();
    const before = this.#state;
    const tried = { kind: "half-open", tryAt: now + openMs, lastFailure, isPassedOver: false } as const;
    if (before.kind === "half-open") {
      this.#state = { ...before, ...tried };
      this.#era = eras.begin();
    } else {
      const mayHaveGone = before.kind === "open" && before.mayHaveGone;
      this.#change({ ...tried, since: now, mayHaveGone }, "a call is let through to try");
    }
    return { kind: "pass", era: this.#era };
  }

  #change(state: State, reason: string): void {
    this.#state = state;
    this.#era = this.#options.eras.begin();
    this.#options.onChange(state.kind, reason);
  }
}
