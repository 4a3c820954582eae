import type { Clock, Timer } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import type { HealthVerdict } from "../model/health.js";

/** What one poll found. */
export type PollResult =
  | { readonly kind: "answered"; readonly verdict: HealthVerdict; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string };

/** Settings of a {@link HealthPoller}. */
export interface HealthPollerOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Delay before the next poll after a failed one; doubled up to `intervalMs` while failures go on. */
  readonly retryMs: number;
  /** Asks the plugin; given up when the signal is aborted. A rejection counts as failed. */
  readonly poll: (signal: AbortSignal) => Promise<PollResult>;
  readonly onResult: (result: PollResult) => void;
}

/** Polls one plugin: at once, then every interval, sooner after a failure. One poll at a time. */
export class HealthPoller {
  readonly #options: HealthPollerOptions;
  #next: Timer | undefined;
  #running: AbortController | undefined;
  #isAskedAgain = false;
  #failures = 0;
  /** Polls since `suspectEnd` that were answered; 0 while nobody suspects anything. */
  #suspicious = 0;
  #closed = false;

  constructor(options: HealthPollerOptions) {
    this.#options = options;
  }

  /** Polls now, unless a poll is under way. The first call starts the polling. */
  pollNow(): void {
    if (this.#closed || this.#running !== undefined) return;
    this.#next?.cancel();
    this.#next = undefined;
    void this.#pollOnce();
  }

  /** As `pollNow`, and once more after a poll that is under way, whose answer may be older than the reason to ask. */
  pollAfresh(): void {
    if (this.#running !== undefined) this.#isAskedAgain = true;
    else this.pollNow();
  }

  /** The plugin is probably about to end: polls now, and again sooner than usual until the usual interval is reached. */
  suspectEnd(): void {
    this.#suspicious = 1;
    this.pollAfresh();
  }

  /** Ends the polling, also a poll under way. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#next?.cancel();
    this.#running?.abort();
  }

  async #pollOnce(): Promise<void> {
    const controller = new AbortController();
    this.#running = controller;
    const late = deferred<PollResult>();
    const reason = `no answer to a health poll in ${this.#options.timeoutMs} ms`;
    // Whether or not the poll ends when it should, the next one must come.
    controller.signal.addEventListener("abort", () => late.resolve({ kind: "failed", reason }), { once: true });
    const limit = this.#options.clock.after(this.#options.timeoutMs, () => controller.abort());
    const poll = this.#options.poll(controller.signal).catch(failed);
    const result = await Promise.race([late.promise, poll]);
    limit.cancel();
    this.#running = undefined;
    if (this.#closed) return;
    this.#failures = result.kind === "failed" ? this.#failures + 1 : 0;
    this.#next = this.#options.clock.after(this.#isAskedAgain ? 0 : this.#delayMs(), () => this.pollNow());
    this.#isAskedAgain = false;
    this.#options.onResult(result);
  }

  #delayMs(): number {
    const { intervalMs, retryMs } = this.#options;
    const step = Math.max(this.#failures, this.#suspicious);
    if (step === 0) return intervalMs;
    const delayMs = Math.min(intervalMs, retryMs * 2 ** Math.min(step - 1, 10));
    if (this.#suspicious > 0) this.#suspicious = delayMs < intervalMs ? this.#suspicious + 1 : 0;
    return delayMs;
  }
}

const failed = (error: unknown): PollResult => ({
  kind: "failed",
  reason: error instanceof Error ? error.message : String(error),
});
