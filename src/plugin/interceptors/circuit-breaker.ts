import { Code, type ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { invalid } from "../../errors.js";
import { checkObject } from "../../http/check-object.js";
import { type Clock, systemClock } from "../../internal/clock.js";
import { checkNumber } from "../../model/limits.js";
import type { CircuitState } from "./circuit.js";
import { Circuits } from "./circuits.js";
import { GuardedCall } from "./guarded-call.js";

/** Options of {@link circuitBreaker}. */
export interface CircuitBreakerOptions {
  /** Failures in a row of one provider that open its circuit. @default 3 */
  readonly failures?: number;
  /**
   * How long it is not called then, in milliseconds, before one call is let through to try. If that has no result for as long, as a
   * stream that says nothing, the next is let through. @default 30_000
   */
  readonly openMs?: number;
  /**
   * Whether an error is a failure of the provider.
   * @default unavailable, deadline_exceeded, internal, unknown and data_loss
   */
  readonly isFailure?: (error: ConnectError) => boolean;
  /**
   * Which circuits a call belongs to, by name: that of the name, and those of the providers that calls of this name reach. Each counts for itself.
   * @default the same for all calls of this interceptor
   */
  readonly keyOf?: (request: UnaryRequest | StreamRequest) => string;
  /** Where time comes from. @default the system's */
  readonly clock?: Clock;
}

/** Checked, with defaults. */
export type ResolvedCircuitBreaker = Readonly<Required<CircuitBreakerOptions>>;

/** A circuit that has changed. */
export interface CircuitEvent {
  /** What `keyOf` says; empty if it is not given. */
  readonly key: string;
  /** The runtime id of the provider whose circuit it is; empty for that of the calls of which nobody has said who was asked. */
  readonly provider: string;
  readonly state: CircuitState;
  /** For people: the last failure, or what closed the circuit. */
  readonly reason: string;
}

/**
 * An interceptor that keeps calls away from providers that fail. Where `provider`, a runtime id, is given, a function is about the
 * circuit of that provider alone.
 */
export interface CircuitBreaker extends Interceptor {
  /**
   * How the circuits of `key` are together: `open` and `half-open` if calls without an answer say so, otherwise as the best of the
   * providers that are known. `key` is empty without `keyOf`.
   */
  stateOf(key?: string, provider?: string): CircuitState;
  /** Whether a call that came now would be let through, as far as is known. */
  isPassable(key?: string, provider?: string): boolean;
  /** Lets the next calls try what is open, without waiting for `openMs`. */
  retest(key?: string, provider?: string): void;
  /** Tells of each change. Returns a function that takes the listener off. */
  onChange(listener: (event: CircuitEvent) => void): () => void;
}

const providersFault: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Internal,
  Code.Unknown,
  Code.DataLoss,
]);

/**
 * Counts failures in a row. When there are too many it fails calls at once, with `unavailable` and `retry-after`, until
 * one call that is let through succeeds. Errors that are the caller's (such as invalid_argument, not_found, canceled) end a row of
 * failures like an answer: somebody is there who has said so. Calls that fail by themselves say nothing: a request that cannot be
 * written or is too large, messages of the caller that throw, its own rate limit.
 *
 * The first message of a stream closes a circuit, as an answer does, but ends no row of failures: its clean end does, a reader who has had
 * enough, or `openMs` without a failure. If it breaks after its first message that is one failure, unless its time was over.
 *
 * Calls of a plugin's clients have a circuit for each provider: the host says who was asked, and is told who is not to be asked. Calls
 * fail at once when there is nobody else. What names nobody, such as a lost connection to the host, counts for
 * a circuit that they have in common; and so does everything of clients without a host.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the option
 */
export const circuitBreaker = (options: CircuitBreakerOptions = {}): CircuitBreaker =>
  circuitBreakerWith(resolveCircuitBreaker(options));

/** {@link circuitBreaker} with checked options. */
export function circuitBreakerWith(resolved: ResolvedCircuitBreaker): CircuitBreaker {
  const circuits = new Circuits(resolved);
  const interceptor: Interceptor = (next) => async (request) => new GuardedCall(circuits, resolved, request).run(next);
  return Object.assign(interceptor, {
    stateOf: (key = "", provider?: string) => circuits.stateOf(key, provider),
    isPassable: (key = "", provider?: string) => circuits.isPassable(key, provider),
    retest: (key = "", provider?: string) => circuits.retest(key, provider),
    onChange: (listener: (event: CircuitEvent) => void) => circuits.onChange(listener),
  });
}

/** @throws PluginHostError `INVALID_ARGUMENT` that names the option */
export function resolveCircuitBreaker(
  given: CircuitBreakerOptions = {},
  field = "circuitBreaker",
): ResolvedCircuitBreaker {
  checkObject(field, given, ["failures", "openMs", "isFailure", "keyOf", "clock"]);
  const failures = checkNumber(`${field}.failures`, given.failures ?? 3, 1, 1_000_000);
  if (!Number.isInteger(failures)) throw invalid(`${field}.failures`, `must be a whole number, got ${failures}`);
  return Object.freeze({
    failures,
    openMs: checkNumber(`${field}.openMs`, given.openMs ?? 30_000, 1, 2 ** 31 - 1),
    isFailure: given.isFailure ?? (({ code }) => providersFault.has(code)),
    keyOf: given.keyOf ?? (() => ""),
    clock: given.clock ?? systemClock,
  });
}
