import type { DescMethod } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { codeFromString } from "@connectrpc/connect/protocol-connect";
import { invalid } from "../../errors.js";
import { checkObject } from "../../http/check-object.js";
import { type Clock, systemClock } from "../../internal/clock.js";
import { checkNumber, shownValue } from "../../model/limits.js";
import { type ResolvedRetryBudget, type RetryBudgetOptions, resolveRetryBudget } from "./retry-budget.js";

/** A call that could be made again. */
export interface RepeatableCall {
  readonly method: DescMethod;
  readonly header: Headers;
}

/** A call that is going to be made again. */
export interface RetryEvent {
  readonly method: DescMethod;
  /** Attempts so far. */
  readonly attempts: number;
  /** When the next attempt is made, in milliseconds from now. */
  readonly delayMs: number;
  /** Why the last one failed. */
  readonly error: ConnectError;
}

/** Options of {@link retry}. */
export interface RetryOptions {
  /** Attempts in all, with the first. @default 3 */
  readonly maxAttempts?: number;
  /** Longest wait before the second attempt, in milliseconds; it doubles with each. Half of it is random. @default 1_000 */
  readonly firstDelayMs?: number;
  /** No wait is longer, in milliseconds. A provider that asks for a longer one is not asked again. @default 10_000 */
  readonly longestDelayMs?: number;
  /**
   * Failures after which a call is made again that may reach a provider twice: these and no others.
   * @default unavailable, deadline_exceeded, internal and unknown, and resource_exhausted that says when to come back
   */
  readonly codes?: readonly Code[];
  /**
   * Whether a call may reach a provider twice. Asked for calls whose method says nothing of it.
   * @default those with an `Idempotency-Key`
   */
  readonly isRepeatable?: (call: RepeatableCall) => boolean;
  /** `false`: no limit but `maxAttempts`. */
  readonly budget?: RetryBudgetOptions | false;
  /** Told before each wait. What it throws is ignored. */
  readonly onRetry?: (event: RetryEvent) => void;
  /** A number from 0 to 1 (exclusive). @default Math.random */
  readonly random?: () => number;
  /** Where time comes from. @default the system's */
  readonly clock?: Clock;
}

/** When a failure is worth another attempt: each time, or if it says when to come back. */
export type RetryWhen = "always" | "invited";

/** Checked, with defaults. */
export interface ResolvedRetry {
  readonly maxAttempts: number;
  readonly firstDelayMs: number;
  readonly longestDelayMs: number;
  readonly codes: ReadonlyMap<Code, RetryWhen>;
  readonly isRepeatable: (call: RepeatableCall) => boolean;
  readonly budget: ResolvedRetryBudget | undefined;
  readonly onRetry: (event: RetryEvent) => void;
  readonly random: () => number;
  readonly clock: Clock;
}

const defaultCodes: readonly (readonly [Code, RetryWhen])[] = [
  // What HTTP calls 5xx, but for what no attempt changes (unimplemented, data_loss).
  [Code.Unavailable, "always"],
  [Code.DeadlineExceeded, "always"],
  [Code.Internal, "always"],
  [Code.Unknown, "always"],
  // Who is told to slow down was not served.
  [Code.ResourceExhausted, "invited"],
];

const names: readonly (keyof RetryOptions)[] = [
  "maxAttempts",
  "firstDelayMs",
  "longestDelayMs",
  "codes",
  "isRepeatable",
  "budget",
  "onRetry",
  "random",
  "clock",
];

/** @throws PluginHostError `INVALID_ARGUMENT` that names the option */
export function resolveRetry(given: RetryOptions = {}, field = "retry"): ResolvedRetry {
  checkObject(field, given, names);
  const maxAttempts = checkNumber(`${field}.maxAttempts`, given.maxAttempts ?? 3, 1, 100);
  if (!Number.isInteger(maxAttempts))
    throw invalid(`${field}.maxAttempts`, `must be a whole number, got ${maxAttempts}`);
  const firstDelayMs = checkNumber(`${field}.firstDelayMs`, given.firstDelayMs ?? 1_000, 0, 2 ** 31 - 1);
  return Object.freeze({
    maxAttempts,
    firstDelayMs,
    longestDelayMs: checkNumber(
      `${field}.longestDelayMs`,
      given.longestDelayMs ?? Math.max(10_000, firstDelayMs),
      firstDelayMs,
      2 ** 31 - 1,
    ),
    codes: new Map(given.codes === undefined ? defaultCodes : resolveCodes(`${field}.codes`, given.codes)),
    isRepeatable: given.isRepeatable ?? (({ header }) => header.has("idempotency-key")),
    budget: given.budget === false ? undefined : resolveRetryBudget(`${field}.budget`, given.budget ?? {}),
    onRetry: given.onRetry ?? (() => {}),
    random: given.random ?? Math.random,
    clock: given.clock ?? systemClock,
  });
}

/** Refuses names of codes and other values, which no error has. */
function resolveCodes(field: string, codes: readonly Code[]): (readonly [Code, RetryWhen])[] {
  if (!Array.isArray(codes)) throw invalid(field, `must be an array of Code, got ${shownValue(codes)}`);
  return codes.map((code: Code | string, index) => {
    if (typeof code === "number" && Code[code] !== undefined) return [code, "always"];
    const meant = typeof code === "string" ? (codeFromString(code) ?? Code[code as keyof typeof Code]) : undefined;
    const example = Code[meant ?? Code.Unavailable];
    const form = `must be a value of Code of @connectrpc/connect, such as Code.${example}`;
    throw invalid(`${field}[${index}]`, `${form}, got ${shownValue(code)}`);
  });
}
