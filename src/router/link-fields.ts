import type { ConnectionInfo, FieldList, RequestHead } from "../http/exchange.js";
import { fieldValue } from "../http/field-list.js";
import type { CallAccount } from "./call-account.js";
import type { Forward } from "./decide.js";
import type { ForwardContext } from "./forward-context.js";
import { requestFields } from "./request-headers.js";
import { continueTrace } from "./trace-context.js";

/** Who a call over a link comes from. */
export interface LinkOrigin {
  readonly connection: ConnectionInfo;
  /** What the caller called the host when it dialled. */
  readonly authority: string;
}

/** The fields towards a provider, the same as over HTTP. Takes note of the trace in the account. */
export function linkFields(
  context: ForwardContext,
  fields: FieldList,
  { connection, authority }: LinkOrigin,
  decision: Forward,
  account: CallAccount,
): FieldList {
  const trace = continueTrace(fieldValue(fields, "traceparent"), context.traceIds);
  account.traceparent = trace.traceparent;
  const head: RequestHead = {
    method: "POST",
    target: "",
    authority,
    httpVersion: "2",
    fields,
    header: (name) => fieldValue(fields, name),
    connection,
  };
  const hop = {
    caller: decision.caller,
    serviceType: decision.serviceType,
    protocol: account.protocol,
    traceparent: trace.traceparent,
    traceContinued: trace.continued,
    elapsedMs: 0,
    trailersPossible: false,
  };
  return requestFields(head, hop, context.options);
}
