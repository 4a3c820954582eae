import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { PluginHostError } from "../errors.js";
import { type ResetCode, resetCode } from "../link/frame.js";
import type { LinkEnd } from "../link/link-stream.js";
import { type ConnectCode, connectCodes, grpcStatusOf } from "./connect-code.js";
import { withoutHostsAnswers } from "./hosts-answer.js";
import { adviceFields, type CallFailure, failureOf } from "./protocol-error.js";

/** How a call over a link ends that the host itself answers. */
export function endOfFailure(failure: CallFailure): LinkEnd {
  const { code, reason } = failure;
  return { code: grpcStatusOf(code), message: reason, details: undefined, trailers: adviceFields(failure) };
}

/** The Connect code of an end: `ok`, or what the provider says. */
export const codeOfEnd = (code: number): string => connectCodes[code] ?? "unknown";

/** An end as a provider may tell it: without what only the host may say. */
export function withoutClaims(end: LinkEnd): LinkEnd {
  const trailers = withoutHostsAnswers(end.trailers);
  return trailers === end.trailers ? end : { ...end, trailers };
}

/** Whether `open` of a link has thrown because of the call itself. */
export const isInvalid = (error: unknown): boolean =>
  error instanceof PluginHostError && error.code === "INVALID_ARGUMENT";

/** The HTTP status that a unary call with this end would have had. */
export const statusOfEnd = (code: number): number =>
  code === 0 ? 200 : codeToHttpStatus(code >= 1 && code <= 16 ? code : 2);

const codeOfReset: Readonly<Record<ResetCode, readonly [ConnectCode, number]>> = {
  [resetCode.cancelled]: ["unavailable", 502],
  [resetCode.refused]: ["unavailable", 502],
  [resetCode.deadline]: ["unavailable", 502],
  [resetCode.unavailable]: ["unavailable", 502],
  [resetCode.tooLarge]: ["resource_exhausted", 413],
  [resetCode.internal]: ["internal", 500],
  [resetCode.protocol]: ["internal", 500],
};

/** What a provider's reset is to the caller. What may be tried again says when. */
export function failureOfReset(code: ResetCode, reason: string, retryAfterMs: number): CallFailure {
  const [connectCode, httpStatus] = codeOfReset[code];
  return failureOf(connectCode, httpStatus, reason, connectCode === "unavailable" ? retryAfterMs : undefined);
}

/** The reset for a failure that comes in the middle of a message, where no end can. */
export function resetOfFailure(code: ConnectCode): ResetCode {
  if (code === "deadline_exceeded") return resetCode.deadline;
  if (code === "resource_exhausted") return resetCode.tooLarge;
  return code === "unavailable" ? resetCode.unavailable : resetCode.internal;
}
