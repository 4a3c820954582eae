import { randomHex } from "../internal/ids.js";
import type { InFlightEntry } from "../internal/in-flight.js";
import type { Forward } from "./decide.js";

/** A decision, and what holds the provider's place until the call is there. */
export class KeptDecision implements InFlightEntry {
  constructor(readonly decision: Forward) {
    decision.provider.inFlight.enter(this);
  }

  /** The call is not there yet; it is ended when it comes. */
  abort(): void {}

  /** The call itself counts from now on, or does not come. Idempotent. */
  release(): void {
    this.decision.provider.inFlight.leave(this);
  }
}

/**
 * Decisions on calls that come over a connection in memory a moment later. Deciding twice would take twice from the
 * caller's rate, and would give a provider of several only every other turn. Until the call has come, it counts as in flight.
 */
export class DecidedCalls {
  readonly #kept = new Map<string, KeptDecision>();

  /** Returns the ticket, which is good once, and what takes it back. */
  keep(decision: Forward): { readonly ticket: string; release(): void } {
    const ticket = randomHex(16);
    const kept = new KeptDecision(decision);
    this.#kept.set(ticket, kept);
    return {
      ticket,
      release: () => {
        this.#kept.delete(ticket);
        kept.release();
      },
    };
  }

  /** The decision on a call, to be released when the call counts itself; undefined if there is none. */
  take(ticket: string): KeptDecision | undefined {
    const kept = this.#kept.get(ticket);
    this.#kept.delete(ticket);
    return kept;
  }
}
