import { Code, type ConnectError, ConnectError as ConnectFailure } from "@connectrpc/connect";
import type { FieldList } from "../http/exchange.js";
import { fieldValue, fromHeaders, hasField, toHeaders } from "../http/field-list.js";
import { endOfError } from "./call-error.js";
import { okEnd } from "./head-codec.js";
import type { LinkCallHead, LinkEnd } from "./link-stream.js";

/** Whether a caller writes its messages as JSON. Without a content type they are binary. */
export function speaksJson(fields: FieldList): boolean {
  const type = fields.length === 0 ? undefined : fieldValue(fields, "content-type");
  return type !== undefined && /^application\/(?:connect\+)?json\b/.test(type);
}

/** The request's fields as implementations see them. */
export function requestHeaders({ fields, deadlineMs }: LinkCallHead, contentType: string): Headers {
  const headers = toHeaders(fields);
  if (!hasField(fields, "content-type")) headers.set("content-type", contentType);
  if (deadlineMs > 0) headers.set("connect-timeout-ms", String(deadlineMs));
  return headers;
}

/** The end of a call that went well. */
export function endWith(trailer: Headers | undefined): LinkEnd {
  const trailers = fromHeaders(trailer);
  return trailers.length === 0 ? okEnd : { ...okEnd, trailers };
}

/** The end of a call that failed. If the details cannot be written it says only that. */
export function failureEnd(told: ConnectError, trailer: Headers | undefined): LinkEnd {
  const trailers = fromHeaders(trailer);
  try {
    return endOfError(told, trailers);
  } catch {
    return { ...okEnd, code: Code.Internal, message: "internal error", trailers };
  }
}

/** What callers are told who come when the provider takes no calls. */
export const refusalError = (reason: string): ConnectError => new ConnectFailure(reason, Code.Unavailable);
