import type { Clock, Timer } from "../internal/clock.js";
import type { TrafficState, TrialCalls, TrialGate } from "../model/health.js";

/** Settings of an {@link Ejection}. */
export interface EjectionOptions {
  readonly clock: Clock;
  /** Failed calls in a row that eject. */
  readonly ejectAfterFailures: number;
  /** First ejection; each further one in a row is twice as long. */
  readonly ejectMs: number;
  /** Longest ejection. */
  readonly maxEjectMs: number;
}

/**
 * Passive health: a plugin whose calls fail several times in a row gets none for a while, then one at a time until one
 * is answered. A failed trial ejects again, for twice as long. What counts as failed is that the plugin cannot be reached,
 * does not answer in time, or breaks an answer off. An answer is an answer whatever it says: an error may be the doing of
 * one caller, and a plugin that is not well says so itself.
 */
export class Ejection {
  readonly #options: EjectionOptions;
  readonly #onChange: (reason: string | undefined) => void;
  #failures = 0;
  #ejections = 0;
  /** What an answer made good, in case it is broken off. */
  #forgiven = { failures: 0, ejections: 0 };
  #ejected: { readonly timer: Timer; readonly until: number } | undefined;
  /** Where the trial call stands, if there is one. */
  #trialCalls: TrialCalls | undefined;
  readonly #gate: TrialGate;

  /** @param onChange gets the reason when an ejection begins, undefined when it ends */
  constructor(options: EjectionOptions, onChange: (reason: string | undefined) => void) {
    this.#options = options;
    this.#onChange = onChange;
    const isTaken = (): boolean => (this.#trialCalls?.newcomers ?? 0) > 0;
    this.#gate = {
      get isTaken() {
        return isTaken();
      },
      take: (calls) => {
        calls.countNewcomers();
        this.#trialCalls = calls;
      },
    };
  }

  get state(): TrafficState {
    const ejections = this.#ejections;
    if (this.#ejected !== undefined) return { kind: "ejected", until: this.#ejected.until, ejections };
    return ejections > 0 ? { kind: "trial", ejections } : { kind: "passing", failures: this.#failures };
  }

  /** Undefined unless on trial. */
  get trial(): TrialGate | undefined {
    return this.#ejections > 0 && this.#ejected === undefined ? this.#gate : undefined;
  }

  answered(): void {
    this.#forgiven = { failures: this.#failures, ejections: this.#ejections };
    this.#failures = 0;
    // Late answers to earlier calls do not end an ejection, of which they know nothing.
    if (this.#ejected === undefined) this.#ejections = 0;
  }

  failed(reason: string): void {
    if (this.#ejected !== undefined) return;
    this.#failures += 1;
    // After an ejection one failed trial is enough.
    if (this.#ejections === 0 && this.#failures < this.#options.ejectAfterFailures) return;
    this.#eject(reason);
  }

  broke(reason: string): void {
    if (this.#ejected === undefined) {
      this.#failures = Math.max(this.#failures, this.#forgiven.failures);
      this.#ejections = Math.max(this.#ejections, this.#forgiven.ejections);
      this.#forgiven = { failures: 0, ejections: 0 };
    }
    this.failed(reason);
  }

  /** Cancels the timer; what comes afterwards changes nothing. */
  close(): void {
    this.#ejected?.timer.cancel();
  }

  #eject(reason: string): void {
    const { clock, ejectMs, maxEjectMs } = this.#options;
    const failures = this.#failures;
    this.#failures = 0;
    const lengthMs = Math.min(ejectMs * 2 ** this.#ejections, maxEjectMs);
    this.#ejections += 1;
    this.#trialCalls = undefined;
    const timer = clock.after(lengthMs, () => {
      this.#ejected = undefined;
      this.#onChange(undefined);
    });
    this.#ejected = { timer, until: clock.now() + lengthMs };
    const why = this.#ejections > 1 ? "the trial call failed" : `calls keep failing, ${failures} in a row`;
    this.#onChange(`ejected for ${lengthMs} ms: ${why}: ${reason}`);
  }
}
