/** The codes of Connect and gRPC, by the number that gRPC sends. */
export const connectCodes = [
  "ok",
  "canceled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
] as const;

/** One of {@link connectCodes} but `ok`. */
export type ConnectCode = Exclude<(typeof connectCodes)[number], "ok">;

/** The number that gRPC sends for a code. */
export const grpcStatusOf = (code: ConnectCode): number => connectCodes.indexOf(code);

/** The name of a `grpc-status`; `unknown` for what is none. */
export function codeOfGrpcStatus(status: string): string {
  return /^\d{1,2}$/.test(status) ? (connectCodes[Number(status)] ?? "unknown") : "unknown";
}

/** The Connect code that an HTTP status stands for, as far as a status can tell. */
export function codeOfHttpStatus(status: number): string {
  if (status < 400) return "ok";
  switch (status) {
    case 400:
      return "invalid_argument";
    case 401:
      return "unauthenticated";
    case 403:
      return "permission_denied";
    case 404:
      return "not_found";
    case 408:
    case 504:
      return "deadline_exceeded";
    case 409:
      return "aborted";
    case 412:
      return "failed_precondition";
    case 413:
    case 429:
    case 431:
      return "resource_exhausted";
    case 416:
      return "out_of_range";
    case 499:
      return "canceled";
    case 500:
      return "internal";
    case 501:
      return "unimplemented";
    case 502:
    case 503:
      return "unavailable";
    default:
      return "unknown";
  }
}
