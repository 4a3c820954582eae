import { Code, ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { invalid } from "../../errors.js";
import { checkObject } from "../../http/check-object.js";
import { type Clock, systemClock } from "../../internal/clock.js";
import { Emitter } from "../../internal/emitter.js";
import { checkNumber } from "../../model/limits.js";
import { Circuit, type CircuitState, type Pass } from "./circuit.js";
import { circuitOpenError } from "./circuit-open-error.js";
import { watched } from "./watched-stream.js";

/** Options of {@link circuitBreaker}. */
export interface CircuitBreakerOptions {
  /** Failures in a row that open the circuit. @default 3 */
  readonly failures?: number;
  /**
   * How long no call is made then, in milliseconds, before one is let through to try. If that has no result for as long, as a
   * stream that says nothing, the next is let through. @default 30_000
   */
  readonly openMs?: number;
  /**
   * Whether an error is a failure of the provider.
   * @default unavailable, deadline_exceeded, internal, unknown and data_loss
   */
  readonly isFailure?: (error: ConnectError) => boolean;
  /**
   * Which circuit a call belongs to, by name. Each counts for itself.
   * @default one circuit for all calls of this interceptor
   */
  readonly keyOf?: (request: UnaryRequest | StreamRequest) => string;
  /** Where time comes from. @default the system's */
  readonly clock?: Clock;
}

/** A circuit that has changed. */
export interface CircuitEvent {
  /** What `keyOf` says; empty if it is not given. */
  readonly key: string;
  readonly state: CircuitState;
  /** For people: the last failure, or what closed the circuit. */
  readonly reason: string;
}

/** An interceptor that keeps calls away from a provider that fails. */
export interface CircuitBreaker extends Interceptor {
  /** How the circuit of `key` is; `key` is empty without `keyOf`. */
  stateOf(key?: string): CircuitState;
  /** Whether a call that came now would be let through. */
  isPassable(key?: string): boolean;
  /** Lets the next call try an open circuit, without waiting for `openMs`. */
  retest(key?: string): void;
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
 * failures like an answer: somebody is there who has said so.
 *
 * Because failures have to be in a row, one bad provider among several that take turns opens nothing.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the option
 */
export function circuitBreaker(options: CircuitBreakerOptions = {}): CircuitBreaker {
  const { failures, openMs, isFailure, keyOf, clock } = resolveCircuitBreaker(options);
  // Those that calls are in, or that something is known against.
  const circuits = new Map<string, Circuit>();
  const calls = new Map<Circuit, number>();
  const changes = new Emitter<{ change: CircuitEvent }>();
  const circuitOf = (key: string): Circuit => {
    const known = circuits.get(key);
    if (known !== undefined) return known;
    const onChange = (state: CircuitState, reason: string): void => changes.emit("change", { key, state, reason });
    const circuit = new Circuit({ failures, openMs, clock, onChange });
    circuits.set(key, circuit);
    return circuit;
  };
  const interceptor: Interceptor = (next) => async (request) => {
    const key = keyOf(request);
    const circuit = circuitOf(key);
    const entrance = circuit.enter();
    if (entrance.kind === "refused") {
      const what = key === "" ? request.service.typeName : key;
      throw circuitOpenError(what, entrance.retryAfterMs, entrance.lastFailure);
    }
    calls.set(circuit, (calls.get(circuit) ?? 0) + 1);
    const leave = (): void => {
      const left = (calls.get(circuit) ?? 1) - 1;
      if (left > 0) calls.set(circuit, left);
      else calls.delete(circuit);
      if (left === 0 && circuit.isClean) circuits.delete(key);
    };
    const over = (pass: Pass, thrown?: unknown): void => {
      if (thrown === undefined) circuit.succeeded(pass);
      else {
        const error = ConnectError.from(thrown);
        if (isFailure(error)) circuit.failed(pass, error.message);
        else if (error.code === Code.Canceled) circuit.undecided(pass);
        else circuit.succeeded(pass);
      }
    };
    try {
      const response = await next(request);
      if (!response.stream) {
        over(entrance);
        leave();
        return response;
      }
      const tell = {
        onFirst: () => over(entrance),
        onFailure: (error: unknown) => over(entrance, error),
        onLeft: () => circuit.undecided(entrance),
        onOver: leave,
      };
      return { ...response, message: watched(response.message, tell) };
    } catch (error) {
      over(entrance, error);
      leave();
      throw error;
    }
  };
  return Object.assign(interceptor, {
    stateOf: (key = "") => circuits.get(key)?.state ?? "closed",
    isPassable: (key = "") => circuits.get(key)?.isPassable ?? true,
    retest: (key = "") => circuits.get(key)?.retest(),
    onChange: (listener: (event: CircuitEvent) => void) => changes.on("change", listener),
  });
}

/** @throws PluginHostError `INVALID_ARGUMENT` that names the option */
export function resolveCircuitBreaker(
  given: CircuitBreakerOptions = {},
  field = "circuitBreaker",
): Readonly<Required<CircuitBreakerOptions>> {
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
