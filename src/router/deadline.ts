import type { RequestHead } from "../http/exchange.js";
import { longestDelayMs } from "../internal/clock.js";
import type { CallProtocol } from "../model/call-event.js";

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** `grpc-timeout` in milliseconds; undefined if it is not one. */
export function parseGrpcTimeout(value: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(value);
  return match === null ? undefined : Number(match[1]) * (unitMs[match[2] as string] as number);
}

/** `connect-timeout-ms` in milliseconds; undefined if it is not one. */
export function parseConnectTimeout(value: string): number | undefined {
  return /^\d{1,10}$/.test(value) ? Number(value) : undefined;
}

/** The field in which a protocol carries the time that the caller gives; undefined for plain HTTP. */
export function deadlineField(protocol: CallProtocol): "grpc-timeout" | "connect-timeout-ms" | undefined {
  switch (protocol) {
    case "grpc":
    case "grpc-web":
      return "grpc-timeout";
    case "connect-unary":
    case "connect-get":
    case "connect-stream":
      return "connect-timeout-ms";
    case "http":
      return undefined;
  }
}

/**
 * How many milliseconds the caller gives; undefined if it gives no deadline. A value that cannot be read counts as none
 * here and goes on to the provider as it is, which refuses it in its own way.
 */
export function callerDeadlineMs(protocol: CallProtocol, head: Pick<RequestHead, "header">): number | undefined {
  const field = deadlineField(protocol);
  const value = field === undefined ? undefined : head.header(field);
  if (value === undefined) return undefined;
  return field === "grpc-timeout" ? parseGrpcTimeout(value) : parseConnectTimeout(value);
}

/**
 * The deadline field's value towards the provider when `elapsedMs` of what the caller gave are over. At most what a timer of Node can wait:
 * a longer one would end the call at once in providers that set theirs by it.
 */
export function remainingDeadline(
  field: "grpc-timeout" | "connect-timeout-ms",
  value: string,
  elapsedMs: number,
): string {
  const given = field === "grpc-timeout" ? parseGrpcTimeout(value) : parseConnectTimeout(value);
  // Below a millisecond there is nothing to take off that the field could express.
  if (given === undefined || (elapsedMs < 1 && given <= longestDelayMs)) return value;
  const left = Math.min(longestDelayMs, Math.max(1, Math.floor(given - elapsedMs)));
  if (field === "connect-timeout-ms") return String(left);
  if (left < 1e8) return `${left}m`;
  return `${Math.floor(left / 1_000)}S`;
}
