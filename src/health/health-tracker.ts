import type { Clock } from "../internal/clock.js";
import type { Health, HealthVerdict, TrafficState, TrialGate } from "../model/health.js";
import { effectiveHealth, type HealthOpinions } from "./effective-health.js";
import { Ejection } from "./ejection.js";

/** Settings of a {@link HealthTracker}; all of them are resolved options of the platform. */
export interface HealthTrackerOptions {
  readonly clock: Clock;
  /** How long failed polls do not count while no poll has succeeded yet: a plugin may report before it opens its port. */
  readonly startGraceMs: number;
  /** Failed polls in a row that make a plugin unhealthy. */
  readonly fallThreshold: number;
  /** Successful polls in a row that make it healthy again. */
  readonly riseThreshold: number;
  /** Failed calls in a row that eject a plugin. */
  readonly ejectAfterFailures: number;
  /** First ejection; each further one in a row is twice as long. */
  readonly ejectMs: number;
  /** Longest ejection. */
  readonly maxEjectMs: number;
  /** Called synchronously after each change of `current`. */
  readonly onChange: (health: Health, before: Health) => void;
}

/** Combines what is reported, polled and seen of one plugin into one state with reason, cause and time. */
export class HealthTracker {
  readonly #options: HealthTrackerOptions;
  #opinions: HealthOpinions = { reported: undefined, polled: undefined, traffic: undefined, exit: undefined };
  #unavailableDependencies: readonly string[] = [];
  #current: Health;
  readonly #createdAt: number;
  #pollFailures = 0;
  #pollSuccesses = 0;
  #fellByFailures = false;
  readonly #ejection: Ejection;
  #closed = false;

  constructor(options: HealthTrackerOptions) {
    this.#options = options;
    this.#createdAt = options.clock.monotonic();
    this.#ejection = new Ejection(options, (reason) => {
      this.#set({ ...this.#opinions, traffic: reason === undefined ? undefined : { verdict: "unhealthy", reason } });
    });
    this.#current = { ...effectiveHealth(this.#opinions), since: options.clock.now(), unavailableDependencies: [] };
  }

  get current(): Health {
    return this.#current;
  }

  /** What calls say of the plugin. */
  get traffic(): TrafficState {
    return this.#ejection.state;
  }

  /** Undefined unless the plugin is on trial after an ejection. */
  get trial(): TrialGate | undefined {
    return this.#ejection.trial;
  }

  /** Whether the last poll was worse than the plugin's own report. */
  get pollDisagrees(): boolean {
    const { polled, reported } = this.#opinions;
    return polled !== undefined && polled.verdict !== "healthy" && polled.verdict !== reported?.verdict;
  }

  /** The plugin says so itself. The last report counts until the next one. */
  report(verdict: HealthVerdict, reason: string, unavailableDependencies: readonly string[]): void {
    this.#unavailableDependencies = [...unavailableDependencies];
    this.#set({ ...this.#opinions, reported: { verdict, reason } });
  }

  /**
   * A poll was answered. What a plugin says of itself counts at once; only one that had stopped answering has to answer
   * `riseThreshold` times first.
   */
  pollAnswered(verdict: HealthVerdict, reason: string): void {
    this.#pollFailures = 0;
    if (verdict !== "healthy") {
      this.#pollSuccesses = 0;
      this.#fellByFailures = false;
      this.#set({ ...this.#opinions, polled: { verdict, reason } });
      return;
    }
    this.#pollSuccesses += 1;
    if (this.#fellByFailures && this.#pollSuccesses < this.#options.riseThreshold) return;
    this.#fellByFailures = false;
    this.#set({ ...this.#opinions, polled: { verdict, reason } });
  }

  /** A poll failed. `fallThreshold` of them in a row count; a plugin that was never seen stays unready. */
  pollFailed(reason: string): void {
    this.#pollSuccesses = 0;
    const { polled, reported } = this.#opinions;
    if (polled === undefined && reported === undefined) {
      // Never seen, so there is nothing to fall from; the reason tells what is in its way.
      if (this.#current.state === "unready") this.#update({ ...this.#current, reason });
      return;
    }
    const starting = this.#options.clock.monotonic() - this.#createdAt < this.#options.startGraceMs;
    if (starting && polled === undefined) return;
    this.#pollFailures += 1;
    if (this.#pollFailures < this.#options.fallThreshold) return;
    this.#fellByFailures = true;
    this.#set({ ...this.#opinions, polled: { verdict: "unhealthy", reason } });
  }

  /** A call got an answer from the plugin. */
  callAnswered(): void {
    this.#ejection.answered();
  }

  /** A call could not reach the plugin, or the plugin broke it. */
  callFailed(reason: string): void {
    if (!this.#closed) this.#ejection.failed(reason);
  }

  /** The plugin broke off the answer of a call that `callAnswered` was called for. */
  callBroke(reason: string): void {
    if (!this.#closed) this.#ejection.broke(reason);
  }

  /** The plugin's process or module has ended. */
  exited(reason: string): void {
    this.#set({ ...this.#opinions, exit: { verdict: "unhealthy", reason } });
  }

  /** Cancels timers; what comes afterwards changes nothing. */
  close(): void {
    this.#closed = true;
    this.#ejection.close();
  }

  #set(opinions: HealthOpinions): void {
    this.#opinions = opinions;
    const next = effectiveHealth(opinions);
    this.#update({ ...next, since: this.#current.since, unavailableDependencies: this.#unavailableDependencies });
  }

  #update(next: Health): void {
    if (this.#closed) return;
    const before = this.#current;
    const sameState = next.state === before.state;
    const same =
      sameState &&
      next.cause === before.cause &&
      next.reason === before.reason &&
      next.unavailableDependencies.join() === before.unavailableDependencies.join();
    if (same) return;
    this.#current = Object.freeze({ ...next, since: sameState ? before.since : this.#options.clock.now() });
    this.#options.onChange(this.#current, before);
  }
}
