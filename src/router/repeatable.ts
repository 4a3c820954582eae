import type { RequestHead } from "../http/exchange.js";

/**
 * Whether the caller has said that the same request may reach a provider twice: by a method that is defined to be
 * safe (RFC 9110, 9.2.1; Connect's GET is one), or by an `Idempotency-Key`, with which the provider recognises the second.
 */
export function isRepeatable(head: Pick<RequestHead, "method" | "header">): boolean {
  const { method } = head;
  return method === "GET" || method === "HEAD" || method === "OPTIONS" || head.header("idempotency-key") !== undefined;
}
