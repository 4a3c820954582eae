import type { RequestHead } from "../http/exchange.js";
import type { CallProtocol } from "../model/call-event.js";

/** Whether the content type is `base`, or `base` followed by a suffix or parameters. */
function hasType(contentType: string, base: string): boolean {
  if (!contentType.startsWith(base)) return false;
  const next = contentType[base.length];
  return next === undefined || next === "+" || next === ";" || next === " ";
}

/** Whether the query has the parameter `connect=v1`, which marks a Connect GET. */
function isConnectGet(target: string): boolean {
  const query = target.indexOf("?");
  return query !== -1 && /[?&]connect=v1(?:&|$)/.test(target.slice(query));
}

/** Finds out from a request's head which protocol the caller speaks. What is none of the others is plain HTTP. */
export function detectProtocol(head: Pick<RequestHead, "method" | "target" | "header">): CallProtocol {
  if (head.method === "GET") return isConnectGet(head.target) ? "connect-get" : "http";
  if (head.method !== "POST") return "http";
  const contentType = head.header("content-type")?.toLowerCase();
  if (contentType === undefined || !contentType.startsWith("application/")) return "http";
  if (hasType(contentType, "application/grpc-web") || hasType(contentType, "application/grpc-web-text"))
    return "grpc-web";
  if (hasType(contentType, "application/grpc")) return "grpc";
  if (contentType.startsWith("application/connect+")) return "connect-stream";
  return /^application\/(?:proto|json) *(?:;|$)/.test(contentType) ? "connect-unary" : "http";
}

/** Whether an answer with this content type is one of `protocol`'s own, made of envelopes that can be followed. */
export function answersInEnvelopes(protocol: CallProtocol, contentType: string): boolean {
  switch (protocol) {
    case "grpc":
      return hasType(contentType, "application/grpc");
    case "grpc-web":
      // The text form is base64 of the envelopes and would have to be decoded first.
      return hasType(contentType, "application/grpc-web");
    case "connect-stream":
      return contentType.startsWith("application/connect+");
    default:
      return false;
  }
}
