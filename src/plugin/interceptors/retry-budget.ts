import { checkObject } from "../../http/check-object.js";
import { checkNumber } from "../../model/limits.js";

/** How many of many calls may be made again, so that retries never become most of the load. */
export interface RetryBudgetOptions {
  /** What it begins with, and the most that it holds. Each failure takes one; only above the half retries are made. @default 10 */
  readonly tokens?: number;
  /** What each call that succeeds gives back. @default 0.1 (in the long run one retry for ten calls) */
  readonly perSuccess?: number;
}

/** Checked, with defaults. */
export type ResolvedRetryBudget = Readonly<Required<RetryBudgetOptions>>;

/** @throws PluginHostError `INVALID_ARGUMENT` that names the option */
export function resolveRetryBudget(field: string, given: RetryBudgetOptions): ResolvedRetryBudget {
  checkObject(field, given, ["tokens", "perSuccess"]);
  return Object.freeze({
    tokens: checkNumber(`${field}.tokens`, given.tokens ?? 10, 1, 1_000_000),
    perSuccess: checkNumber(`${field}.perSuccess`, given.perSuccess ?? 0.1, 0, 1_000),
  });
}

/** The budget of all calls of one interceptor. */
export class RetryBudget {
  readonly #options: ResolvedRetryBudget;
  #tokens: number;

  constructor(options: ResolvedRetryBudget) {
    this.#options = options;
    this.#tokens = options.tokens;
  }

  /** A call has failed. Returns whether it may be made again. */
  failed(): boolean {
    this.#tokens = Math.max(0, this.#tokens - 1);
    return this.#tokens > this.#options.tokens / 2;
  }

  succeeded(): void {
    this.#tokens = Math.min(this.#options.tokens, this.#tokens + this.#options.perSuccess);
  }
}
