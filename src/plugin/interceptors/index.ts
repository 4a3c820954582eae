// Interceptors for any client or server of Connect, in a plugin or not. Nothing else of the SDK is loaded.
export { PluginHostError } from "../../errors.js";
export { type PeerIdentity, peerIdentity } from "../../http/peer-certificate.js";
export type { Clock, Timer } from "../../internal/clock.js";
export { type BearerTokenOptions, bearerToken, type TokenSource } from "./bearer-token.js";
export type { CircuitState } from "./circuit.js";
export {
  type CircuitBreaker,
  type CircuitBreakerOptions,
  type CircuitEvent,
  circuitBreaker,
} from "./circuit-breaker.js";
export { isCircuitOpen } from "./circuit-open-error.js";
export { fallback } from "./fallback.js";
export { type LastAnswersOptions, lastAnswers } from "./last-answers.js";
export { type RateLimitOptions, rateLimit } from "./rate-limit.js";
export { type RequireBearerOptions, requireBearer } from "./require-bearer.js";
export { certificateValues, type RequireCertificateOptions, requireCertificate } from "./require-certificate.js";
export { type ResilienceOptions, resilience } from "./resilience.js";
export { retry } from "./retry.js";
export type { RetryBudgetOptions } from "./retry-budget.js";
export type { RepeatableCall, RetryEvent, RetryOptions } from "./retry-options.js";
export { type TimeLimitOptions, timeLimit } from "./time-limit.js";
