import type { Health, HealthVerdict, TrafficState, TrialGate } from "../model/health.js";
import { HealthPoller, type HealthPollerOptions, type PollResult } from "./health-poller.js";
import { HealthTracker, type HealthTrackerOptions } from "./health-tracker.js";

/** Settings of a {@link HealthMonitor}. */
export type HealthMonitorOptions = HealthTrackerOptions & Omit<HealthPollerOptions, "onResult" | "poll">;

/** One plugin's health: the tracker that combines all opinions, and the poller that feeds it. */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions;
  readonly #tracker: HealthTracker;
  #poller: HealthPoller | undefined;
  #closed = false;

  constructor(options: HealthMonitorOptions) {
    this.#options = options;
    this.#tracker = new HealthTracker(options);
  }

  get current(): Health {
    return this.#tracker.current;
  }

  /** What calls say of the plugin. */
  get traffic(): TrafficState {
    return this.#tracker.traffic;
  }

  /** Undefined unless the plugin is on trial after an ejection. */
  get trial(): TrialGate | undefined {
    return this.#tracker.trial;
  }

  /** Starts polling with `poll`, the first time at once; takes the place of an earlier poll. */
  startPolling(poll: (signal: AbortSignal) => Promise<PollResult>): void {
    this.#poller?.close();
    // Whoever is still about to begin must not leave a timer behind.
    if (this.#closed) return;
    this.#poller = new HealthPoller({
      ...this.#options,
      poll,
      onResult: (result) => {
        if (result.kind === "answered") this.#tracker.pollAnswered(result.verdict, result.reason);
        else this.#tracker.pollFailed(result.reason);
      },
    });
    this.#poller.pollNow();
  }

  /** A report that a poll contradicts brings another poll at once: the plugin may have recovered since. */
  report(verdict: HealthVerdict, reason: string, unavailableDependencies: readonly string[]): void {
    this.#tracker.report(verdict, reason, unavailableDependencies);
    if (this.#tracker.pollDisagrees) this.#poller?.pollAfresh();
  }

  callAnswered(): void {
    this.#tracker.callAnswered();
  }

  /** A failed call also makes the next poll come at once, so that a dead plugin is found before more calls fail. */
  callFailed(reason: string): void {
    this.#tracker.callFailed(reason);
    this.#poller?.pollNow();
  }

  /** As `callFailed`, for an answer that had begun. */
  callBroke(reason: string): void {
    this.#tracker.callBroke(reason);
    this.#poller?.pollNow();
  }

  /** The plugin is probably about to end: polls come sooner for a while. */
  suspectEnd(): void {
    this.#poller?.suspectEnd();
  }

  exited(reason: string): void {
    this.#tracker.exited(reason);
    this.#poller?.close();
  }

  /** Cancels all timers and polls. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#poller?.close();
    this.#tracker.close();
  }
}
