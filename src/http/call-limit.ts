import { Code, ConnectError } from "@connectrpc/connect";

/**
 * The time limit of a call as all our transports read what callers give: none where it is not above 0, as Connect's own
 * transports read it, nor where it is endless; in whole milliseconds otherwise, because fields have room for no others.
 *
 * @throws ConnectError `invalid_argument` if it is no number
 */
export function callLimit(timeoutMs: number | undefined): number | undefined {
  if (Number.isNaN(timeoutMs)) {
    throw new ConnectError("timeoutMs must be a number of milliseconds, got NaN", Code.InvalidArgument);
  }
  if (timeoutMs === undefined || timeoutMs <= 0 || timeoutMs === Number.POSITIVE_INFINITY) return undefined;
  return Math.ceil(timeoutMs);
}
