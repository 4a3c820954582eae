import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { checkObject } from "../../http/check-object.js";
import { setTimeoutOf, timeoutOf } from "../../http/timeout-header.js";
import { type Clock, systemClock } from "../../internal/clock.js";
import { checkNumber } from "../../model/limits.js";
import { providerField } from "../../model/provider-choice.js";
import { toldProvider } from "./through-host.js";

/** Options of {@link timeLimit}. */
export interface TimeLimitOptions {
  /** Longest time for one answer, in milliseconds. @default 10_000 */
  readonly timeoutMs?: number;
  /** Where time comes from. @default the system's */
  readonly clock?: Clock;
}

/** Checked, with defaults. */
export type ResolvedTimeLimit = Readonly<Required<TimeLimitOptions>>;

/**
 * Ends unary calls that take too long with `deadline_exceeded`, and tells the provider its deadline. A call that has a shorter
 * one keeps it. Streams have no limit here: give them `timeoutMs` when you call.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the option
 */
export const timeLimit = (options: TimeLimitOptions = {}): Interceptor => timeLimitWith(resolveTimeLimit(options));

/** {@link timeLimit} with checked options. */
export function timeLimitWith({ timeoutMs, clock }: ResolvedTimeLimit): Interceptor {
  return (next) => async (request) => {
    if (request.stream) return next(request);
    const givenMs = timeoutOf(request.header);
    if (givenMs !== undefined && givenMs <= timeoutMs) return next(request);
    const late = new AbortController();
    const error = new ConnectError(`no answer within ${timeoutMs} ms`, Code.DeadlineExceeded);
    const timer = clock.after(timeoutMs, () => late.abort(error), true);
    const header = new Headers(request.header);
    setTimeoutOf(header, timeoutMs);
    try {
      return await next({ ...request, header, signal: AbortSignal.any([request.signal, late.signal]) });
    } catch (thrown) {
      if (!late.signal.aborted || request.signal.aborted) throw thrown;
      // Transports word an abort in their own ways. Those that know who was asked say so.
      const provider = toldProvider(ConnectError.from(thrown).metadata);
      if (provider !== undefined) error.metadata.set(providerField, provider);
      throw error;
    } finally {
      timer.cancel();
    }
  };
}

/** @throws PluginHostError `INVALID_ARGUMENT` that names the option */
export function resolveTimeLimit(given: TimeLimitOptions = {}, field = "timeLimit"): ResolvedTimeLimit {
  checkObject(field, given, ["timeoutMs", "clock"]);
  return Object.freeze({
    timeoutMs: checkNumber(`${field}.timeoutMs`, given.timeoutMs ?? 10_000, 1, 2 ** 31 - 1),
    clock: given.clock ?? systemClock,
  });
}
