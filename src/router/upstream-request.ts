import type { RequestHead, ServerExchange } from "../http/exchange.js";
import type { CallAccount } from "./call-account.js";
import type { Forward } from "./decide.js";
import type { ForwardContext } from "./forward-context.js";
import { requestFields } from "./request-headers.js";
import { continueTrace } from "./trace-context.js";
import type { UpstreamRequest } from "./upstream.js";

/** The request towards a provider. Takes note of the trace in the account. */
export function upstreamRequest(
  context: ForwardContext,
  exchange: ServerExchange,
  decision: Forward,
  account: CallAccount,
  protocol: "h1" | "h2" | "link",
): UpstreamRequest {
  const { head } = exchange;
  const hasBody = !exchange.bodyless;
  const announced = head.header("content-length");
  const length = announced === undefined ? undefined : Number(announced);
  const trace = continueTrace(head.header("traceparent"), context.traceIds);
  account.traceparent = trace.traceparent;
  const hop = {
    caller: decision.caller,
    serviceType: decision.serviceType,
    protocol: account.protocol,
    traceparent: trace.traceparent,
    traceContinued: trace.continued,
    elapsedMs: account.elapsedMs(),
    trailersPossible: hasBody && length === undefined,
    // A link shows by itself who is at its other end.
    hostSecret: protocol === "link" ? undefined : decision.provider.hostSecret,
  };
  return {
    method: head.method,
    path: decision.upstreamPath,
    fields: requestFields(head, hop, context.options),
    hasBody,
    length,
    expectsContinue: protocol === "h1" && hasBody && expectsContinue(head),
  };
}

/** An expectation from HTTP/1.0, whose callers know no 1xx answer, is ignored (RFC 9110, 10.1.1). */
const expectsContinue = (head: RequestHead): boolean =>
  head.httpVersion !== "1.0" && head.header("expect") !== undefined;
