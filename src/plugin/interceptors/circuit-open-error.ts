import { Code, ConnectError } from "@connectrpc/connect";
import { PluginHostError } from "../../errors.js";

// No class of its own: ConnectError takes every error of its kind for an instance of each class that extends it.

/** What callers get of an open circuit: `unavailable` with `retry-after`. `retryAfterMs` is 0 while a call tries it. */
export function circuitOpenError(what: string, retryAfterMs: number, lastFailure: string): ConnectError {
  const next = retryAfterMs > 0 ? `one is let through in ${Math.ceil(retryAfterMs)} ms` : "one is under way to try";
  const message = `calls of ${what} are not made because too many failed, the last with: ${lastFailure}; ${next}`;
  const seconds = String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  const cause = new PluginHostError("CIRCUIT_OPEN", message);
  return new ConnectError(message, Code.Unavailable, { "retry-after": seconds }, undefined, cause);
}

/** Whether a call failed because a circuit breaker of this program did not let it through. */
export const isCircuitOpen = (error: unknown): boolean =>
  error instanceof ConnectError && error.cause instanceof PluginHostError && error.cause.code === "CIRCUIT_OPEN";
