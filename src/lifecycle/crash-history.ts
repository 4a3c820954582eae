import { backOffMs } from "../internal/back-off.js";

/** How a plugin is started again. All of it is checked. */
export interface RestartPolicy {
  /** Back-off before the first start in a row; doubled for each further one. */
  readonly firstDelayMs: number;
  /** Longest back-off. */
  readonly maxDelayMs: number;
  /** A run of this length was a good one: the next end is the first in a row again. */
  readonly resetAfterMs: number;
  /** So many ends and failed starts within `crashWindowMs` are a crash loop. */
  readonly maxCrashes: number;
  readonly crashWindowMs: number;
}

/** What follows from one more end. */
export type AfterCrash =
  | { readonly kind: "restart"; readonly attempt: number; readonly delayMs: number }
  | { readonly kind: "quarantine"; readonly crashes: number };

/** The ends and failed starts of one plugin, and what follows from them. Pure but for `random`. */
export class CrashHistory {
  readonly #policy: RestartPolicy;
  readonly #random: () => number;
  /** Monotonic times, oldest first. Never more than make a crash loop. */
  #crashes: number[] = [];
  #attempts = 0;

  /** @param random a number from 0 up to, and without, 1 */
  constructor(policy: RestartPolicy, random: () => number) {
    this.#policy = policy;
    this.#random = random;
  }

  /** Starts in a row since the last good run. */
  get attempts(): number {
    return this.#attempts;
  }

  /** The plugin ended at `at` (monotonic) after it had served for `ranMs`, or failed to start. */
  crashed(at: number, ranMs: number): AfterCrash {
    const { resetAfterMs, crashWindowMs, maxCrashes } = this.#policy;
    if (ranMs >= resetAfterMs) this.forget();
    const recent = this.#crashes.filter((time) => at - time < crashWindowMs);
    this.#crashes = Number.isFinite(maxCrashes) ? [...recent, at] : [];
    if (this.#crashes.length >= maxCrashes) return { kind: "quarantine", crashes: this.#crashes.length };
    this.#attempts += 1;
    const { firstDelayMs: firstMs, maxDelayMs: longestMs } = this.#policy;
    const delayMs = backOffMs(this.#attempts, { firstMs, longestMs, random: this.#random });
    return { kind: "restart", attempt: this.#attempts, delayMs };
  }

  /** Begins anew. */
  forget(): void {
    this.#crashes = [];
    this.#attempts = 0;
  }
}
