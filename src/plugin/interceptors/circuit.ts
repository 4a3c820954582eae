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

type State =
  | { readonly kind: "closed"; readonly failures: number }
  | { readonly kind: "open"; readonly tryAt: number; readonly lastFailure: string }
  /** `tryAt`: when another call is let through although the one before has no result; it may be a stream that is silent. */
  | { readonly kind: "half-open"; readonly tryAt: number; readonly lastFailure: string };

/** What a circuit needs. */
export interface CircuitOptions {
  readonly failures: number;
  readonly openMs: number;
  readonly clock: Clock;
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

  enter(): Entrance {
    const state = this.#state;
    switch (state.kind) {
      case "closed":
        return { kind: "pass", era: this.#era };
      case "open": {
        const retryAfterMs = state.tryAt - this.#options.clock.monotonic();
        const { lastFailure } = state;
        if (retryAfterMs > 0) return { kind: "refused", retryAfterMs, lastFailure };
        return this.#try(lastFailure);
      }
      case "half-open":
        return this.isPassable
          ? this.#try(state.lastFailure)
          : { kind: "refused", retryAfterMs: 0, lastFailure: state.lastFailure };
    }
  }

  succeeded({ era }: Pass): void {
    if (era !== this.#era) return;
    if (this.#state.kind === "closed") this.#state = { kind: "closed", failures: 0 };
    else this.#change({ kind: "closed", failures: 0 }, "a call succeeded");
  }

  failed({ era }: Pass, reason: string): void {
    if (era !== this.#era) return;
    const failures = this.#state.kind === "closed" ? this.#state.failures + 1 : this.#options.failures;
    if (failures < this.#options.failures) this.#state = { kind: "closed", failures };
    else {
      const tryAt = this.#options.clock.monotonic() + this.#options.openMs;
      this.#change({ kind: "open", tryAt, lastFailure: reason }, reason);
    }
  }

  /** The call ended in a way that says nothing of the provider. */
  undecided({ era }: Pass): void {
    if (era !== this.#era || this.#state.kind !== "half-open") return;
    this.#state = { ...this.#state, tryAt: this.#options.clock.monotonic() };
  }

  /** There is reason to believe that it works again: the next call tries. */
  retest(): void {
    if (this.#state.kind !== "open") return;
    this.#state = { ...this.#state, tryAt: this.#options.clock.monotonic() };
  }

  #try(lastFailure: string): Pass {
    const tryAt = this.#options.clock.monotonic() + this.#options.openMs;
    const state: State = { kind: "half-open", tryAt, lastFailure };
    if (this.#state.kind === "half-open") {
      this.#state = state;
      this.#era += 1;
    } else this.#change(state, "a call is let through to try");
    return { kind: "pass", era: this.#era };
  }

  #change(state: State, reason: string): void {
    this.#state = state;
    this.#era += 1;
    this.#options.onChange(state.kind, reason);
  }
}
