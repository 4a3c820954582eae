const connectField = "connect-timeout-ms";
const grpcField = "grpc-timeout";

const msOfUnit: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** The time of a call as the fields of its request tell it, in milliseconds; undefined if they do not. */
export function timeoutOf(header: Headers): number | undefined {
  const connect = header.get(connectField);
  if (connect !== null) return /^\d{1,10}$/.test(connect) ? Number(connect) : undefined;
  const [, count, unit] = /^(\d{1,8})([HMSmun])$/.exec(header.get(grpcField) ?? "") ?? [];
  return count === undefined || unit === undefined ? undefined : Number(count) * (msOfUnit[unit] as number);
}

// Both protocols have room for so many digits at least.
const longestMs = 99_999_999;

/** Writes the time of a call into the fields of its request, in the way of the protocol that they are of. */
export function setTimeoutOf(header: Headers, timeoutMs: number): void {
  const wholeMs = String(Math.min(longestMs, Math.max(1, Math.ceil(timeoutMs))));
  const isGrpc = header.get("content-type")?.startsWith("application/grpc") === true;
  if (isGrpc) header.set(grpcField, `${wholeMs}m`);
  else header.set(connectField, wholeMs);
}
