import type { FieldList } from "../http/exchange.js";
import { fieldValue, noFields } from "../http/field-list.js";
import { type CallKind, callKind, resetCode } from "./frame.js";
import { type EndLimits, type HeadLimits, okEnd } from "./head-codec.js";
import { answerHeadProblem, endProblem, fieldsSize, type HeadProblem } from "./head-problem.js";
import type { LinkEnd } from "./link-stream.js";

// Implementations of HTTP/2 send and take no more trailers than that, whatever a link carries.
const maxGrpcTrailersBytes = 65_536;

const grpcDetails = "grpc-status-details-bin";
const ofGrpcError: ReadonlySet<string> = new Set(["grpc-status", "grpc-message"]);

/** The fields of an answer as the other side takes them, or why there is no such thing. The same list if nothing is wrong. */
export function fittingHead(
  fields: FieldList,
  kind: CallKind,
  isInformational: boolean,
  limits: HeadLimits,
): FieldList | HeadProblem {
  const isHttp = kind === callKind.http;
  const problemOf = (given: FieldList) => answerHeadProblem(given, isHttp || isInformational, limits);
  const problem = problemOf(fields);
  if (problem === undefined) return fields;
  // An answer of gRPC that is an error may have its trailers in its head.
  if (!isHttp || !isGrpcError(fields)) return problem;
  const smaller = without(fields, (name) => name === grpcDetails);
  return problemOf(smaller) ?? smaller;
}

/**
 * An end as the other side takes it, or why there is no such thing. The same end if nothing is wrong. An error that is too
 * large, or has trailers that cannot be sent, loses as little as possible, and never its code or the beginning of its message.
 */
export function fittingEnd(end: LinkEnd, kind: CallKind, limits: EndLimits): LinkEnd | HeadProblem {
  if (kind === callKind.http) return fittingTrailers(end, limits);
  const problem = endProblem(end, limits);
  if (problem === undefined) return end;
  if (end.code === 0) return problem;
  const { code, message, trailers } = end;
  const room = Math.max(limits.maxErrorBytes, limits.maxHeadBytes - fieldsSize(noFields));
  const cut = { ...okEnd, code, message: message.slice(0, Math.floor(room / 3)) };
  const smaller = [
    { ...end, details: undefined },
    { ...end, trailers: noFields },
    { ...okEnd, code, message },
    { ...cut, trailers },
    cut,
  ];
  return smaller.find((one) => endProblem(one, limits) === undefined) ?? problem;
}

/** The end of an HTTP exchange. Its trailers are the caller's own, and nothing of them can be left out but what gRPC can do without. */
function fittingTrailers(end: LinkEnd, limits: EndLimits): LinkEnd | HeadProblem {
  const { trailers } = end;
  const problem = endProblem(end, limits);
  if (!isGrpcError(trailers)) return problem ?? end;
  const fits = (given: LinkEnd): boolean =>
    endProblem(given, limits) === undefined && fieldsSize(given.trailers) <= maxGrpcTrailersBytes;
  if (fits(end)) return end;
  const bare = without(trailers, (name) => !ofGrpcError.has(name));
  const smaller = [without(trailers, (name) => name === grpcDetails), bare, bare.map((text) => text.slice(0, 1_000))];
  const fitting = smaller.map((fields) => ({ ...end, trailers: fields })).find(fits);
  return fitting ?? problem ?? { code: resetCode.tooLarge, message: "the trailers are too large" };
}

const isGrpcError = (fields: FieldList): boolean => (fieldValue(fields, "grpc-status") ?? "0") !== "0";

const without = (fields: FieldList, isLeftOut: (name: string) => boolean): FieldList =>
  fields.filter((_, index) => !isLeftOut(fields[index - (index % 2)] as string));
