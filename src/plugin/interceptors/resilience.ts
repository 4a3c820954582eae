import type { Interceptor, StreamRequest, UnaryRequest } from "@connectrpc/connect";
import { checkObject } from "../../http/check-object.js";
import type { Clock } from "../../internal/clock.js";
import {
  type CircuitBreaker,
  type CircuitBreakerOptions,
  circuitBreakerWith,
  resolveCircuitBreaker,
} from "./circuit-breaker.js";
import { type RateLimitOptions, rateLimitWith, resolveRateLimit } from "./rate-limit.js";
import { type NotSent, retryWith } from "./retry.js";
import { type RetryOptions, resolveRetry } from "./retry-options.js";
import { resolveTimeLimit, type TimeLimitOptions, timeLimitWith } from "./time-limit.js";

/** What stands between a caller and a provider. What is not named is off; `true` takes the defaults. */
export interface ResilienceOptions {
  /** See `retry`. */
  readonly retry?: RetryOptions | boolean;
  /** See `circuitBreaker`. */
  readonly circuitBreaker?: CircuitBreakerOptions | boolean;
  /** See `rateLimit`; it has no default rate. */
  readonly rateLimit?: RateLimitOptions | false;
  /** See `timeLimit`. It is for each attempt; `timeoutMs` of a call is for all of them together. */
  readonly timeLimit?: TimeLimitOptions | boolean;
}

/** The interceptors for one provider, outermost first, and the breaker among them. */
export interface Resilience {
  readonly interceptors: readonly Interceptor[];
  readonly circuit: CircuitBreaker | undefined;
}

/** Everything that has defaults. */
const defaultResilience: ResilienceOptions = Object.freeze({
  retry: true,
  circuitBreaker: true,
  timeLimit: true,
});

/**
 * The interceptors that `options` name, in the order in which they work together: retry, circuit breaker, rate limit, time
 * limit. So the breaker counts attempts, retries end as soon as it opens, and each attempt has its own time.
 *
 * @param options @default retry, circuit breaker and time limit with their defaults
 * @throws PluginHostError `INVALID_ARGUMENT` that names the option
 */
export const resilience = (options: ResilienceOptions = defaultResilience): Interceptor[] => [
  ...resilienceOf(options, "resilience").interceptors,
];

/** What only the SDK knows of the calls of a dependency. */
export interface ResilienceContext {
  readonly notSent?: NotSent;
  /** Which circuit calls belong to, unless the options say so. */
  readonly keyOf?: (request: UnaryRequest | StreamRequest) => string;
  /** Wrapped around each attempt, and around the circuit breaker and the limits of it; also if nothing else is on. */
  readonly attempt?: Interceptor | undefined;
  /** Where time comes from, unless the options say so. */
  readonly clock?: Clock;
}

/** {@link resilience} for the SDK. */
export function resilienceOf(
  given: ResilienceOptions | boolean,
  field: string,
  { notSent, keyOf, attempt, clock }: ResilienceContext = {},
): Resilience {
  const around = attempt === undefined ? [] : [attempt];
  if (given === false) return { interceptors: around, circuit: undefined };
  const options = given === true ? defaultResilience : given;
  checkObject(field, options, ["retry", "circuitBreaker", "rateLimit", "timeLimit"]);
  const interceptors: Interceptor[] = [];
  const named = <T extends object>(name: keyof ResilienceOptions): readonly [T, string] | undefined => {
    const value = options[name];
    if (value === false || value === undefined) return undefined;
    const own = value === true ? {} : value;
    // Before it is mixed with others: a spread takes anything.
    checkObject(`${field}.${name}`, own, Object.keys(Object(own)));
    return [(clock === undefined ? own : { clock, ...own }) as T, `${field}.${name}`];
  };
  const retries = named<RetryOptions>("retry");
  if (retries !== undefined) interceptors.push(retryWith(resolveRetry(...retries), notSent));
  interceptors.push(...around);
  const breaker = named<CircuitBreakerOptions>("circuitBreaker");
  const circuit =
    breaker && circuitBreakerWith(resolveCircuitBreaker({ ...(keyOf && { keyOf }), ...breaker[0] }, breaker[1]));
  if (circuit !== undefined) interceptors.push(circuit);
  const rate = named<RateLimitOptions>("rateLimit");
  if (rate !== undefined) interceptors.push(rateLimitWith(resolveRateLimit(...rate)));
  const time = named<TimeLimitOptions>("timeLimit");
  if (time !== undefined) interceptors.push(timeLimitWith(resolveTimeLimit(...time)));
  return { interceptors, circuit };
}
