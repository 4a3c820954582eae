import { Code, ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import { PluginHostError } from "../../errors.js";
import { checkObject } from "../../http/check-object.js";
import { timeoutOf } from "../../http/timeout-header.js";
import { type Clock, systemClock } from "../../internal/clock.js";
import { checkNumber } from "../../model/limits.js";
import { TurnQueue } from "./turn-queue.js";
import { unsent } from "./unsent.js";

/** Options of {@link rateLimit}. */
export interface RateLimitOptions {
  /** Calls that may begin in a second, on average. */
  readonly perSecond: number;
  /** Calls that may begin at once after a pause. @default as many as in a second, at least 1 */
  readonly burst?: number;
  /** How long a call may wait for its turn, in milliseconds. @default 0 (it fails at once) */
  readonly maxWaitMs?: number;
  /** Which rate a call counts for, by name. @default one rate for all calls of this interceptor */
  readonly keyOf?: (request: UnaryRequest | StreamRequest) => string;
  /** Where time comes from. @default the system's */
  readonly clock?: Clock;
}

/** Checked, with defaults. */
export type ResolvedRateLimit = Readonly<Required<RateLimitOptions>>;

/**
 * Keeps the calls that begin below a rate. One that is too early waits for its turn, in the order of arrival, if `maxWaitMs` and
 * its deadline leave time for it; otherwise it fails with `resource_exhausted` and `retry-after`, and is not sent. One that is given up
 * while it waits makes room for those behind it.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the option
 */
export const rateLimit = (options: RateLimitOptions): Interceptor => rateLimitWith(resolveRateLimit(options));

/** {@link rateLimit} with checked options. */
export function rateLimitWith({ perSecond, burst, maxWaitMs, keyOf, clock }: ResolvedRateLimit): Interceptor {
  const turns = new TurnQueue(perSecond, burst, clock);
  return (next) => async (request) => {
    const { signal } = request;
    if (signal.aborted) throw unsent(request, givenUp(signal));
    const limitMs = Math.min(maxWaitMs, timeoutOf(request.header) ?? Number.POSITIVE_INFINITY);
    const turn = turns.take(keyOf(request), limitMs);
    if (turn.kind === "too-late") throw unsent(request, tooEarly(perSecond, turn.waitMs));
    if (turn.kind === "later") {
      signal.addEventListener("abort", turn.leave, { once: true });
      await turn.come;
      signal.removeEventListener("abort", turn.leave);
      if (signal.aborted) throw unsent(request, givenUp(signal));
    }
    return next(request);
  };
}

const givenUp = (signal: AbortSignal): ConnectError => ConnectError.from(getAbortSignalReason(signal), Code.Canceled);

function tooEarly(perSecond: number, waitMs: number): ConnectError {
  const message = `this program makes at most ${perSecond} such calls a second; the next one in ${Math.ceil(waitMs)} ms`;
  const seconds = String(Math.max(1, Math.ceil(waitMs / 1_000)));
  const cause = new PluginHostError("LIMIT_REACHED", message);
  return new ConnectError(message, Code.ResourceExhausted, { "retry-after": seconds }, undefined, cause);
}

/** @throws PluginHostError `INVALID_ARGUMENT` that names the option */
export function resolveRateLimit(given: RateLimitOptions, field = "rateLimit"): ResolvedRateLimit {
  checkObject(field, given, ["perSecond", "burst", "maxWaitMs", "keyOf", "clock"]);
  const perSecond = checkNumber(`${field}.perSecond`, given.perSecond, 0.001, 1_000_000);
  return Object.freeze({
    perSecond,
    burst: checkNumber(`${field}.burst`, given.burst ?? Math.max(1, Math.floor(perSecond)), 1, 1_000_000),
    maxWaitMs: checkNumber(`${field}.maxWaitMs`, given.maxWaitMs ?? 0, 0, 2 ** 31 - 1),
    keyOf: given.keyOf ?? (() => ""),
    clock: given.clock ?? systemClock,
  });
}
