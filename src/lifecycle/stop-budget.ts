import { setMaxListeners } from "node:events";
import type { Clock, Timer } from "../internal/clock.js";

/** How patient operations may still be: as long as they like while the host runs, within the budget once it stops. */
export class StopBudget {
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  readonly #drained = new AbortController();
  #endsAt = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    // One listener for each operation; Node would take more than ten for a leak.
    setMaxListeners(0, this.#stopping.signal, this.#drained.signal);
  }

  /** Aborted when the host begins to stop. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Aborted when calls in flight have had their part of the budget. */
  get drained(): AbortSignal {
    return this.#drained.signal;
  }

  /** The host begins to stop. */
  begin(budgetMs: number, reason: Error): void {
    this.#endsAt = this.#clock.monotonic() + budgetMs;
    // The other half stays for the plugins' own end.
    this.#timer = this.#clock.after(budgetMs / 2, () => this.#drained.abort(), true);
    this.#stopping.abort(reason);
  }

  /** Milliseconds until the budget is used up; infinite while the host runs. */
  leftMs(): number {
    return Math.max(0, this.#endsAt - this.#clock.monotonic());
  }

  /** Cancels the timer. */
  close(): void {
    this.#timer?.cancel();
  }
}
