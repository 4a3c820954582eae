import type { ServerExchange } from "./exchange.js";
import type { UnaryOptions } from "./unary-method.js";

/** What the fields of an ordinary unary call say. */
export interface UnaryHead {
  /** Whether messages are binary; JSON otherwise. */
  readonly binary: boolean;
  readonly timeoutMs: number | undefined;
  readonly acceptEncoding: string | undefined;
}

const contentTypes: ReadonlyMap<string, boolean> = new Map([
  ["application/json", false],
  ["application/json; charset=utf-8", false],
  ["application/json;charset=utf-8", false],
  ["application/proto", true],
]);

/** Longer ones are more than a timer can count. */
const longestTimeoutMs = 2 ** 31 - 1;

/**
 * Undefined unless the request is an ordinary unary call: POST, a usual content type, no content encoding, a length
 * that is known and allowed, and nothing else that needs an answer of its own. Does not touch the body.
 */
export function readUnaryHead(exchange: ServerExchange, options: UnaryOptions): UnaryHead | undefined {
  const { head, body } = exchange;
  // Who has begun to read it, in front of us, has a part that we do not get.
  if (head.method !== "POST" || body.readableFlowing !== null || body.readableDidRead || body.destroyed)
    return undefined;
  let contentType: string | undefined;
  let contentLength: string | undefined;
  let timeout: string | undefined;
  let acceptEncoding: string | undefined;
  let version: string | undefined;
  const { fields } = head;
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const value = fields[index + 1] as string;
    switch (fields[index]) {
      case "content-type":
        if (contentType !== undefined) return undefined;
        contentType = value;
        break;
      case "content-length":
        if (contentLength !== undefined) return undefined;
        contentLength = value;
        break;
      case "connect-timeout-ms":
        if (timeout !== undefined) return undefined;
        timeout = value;
        break;
      case "accept-encoding":
        acceptEncoding = acceptEncoding === undefined ? value : `${acceptEncoding}, ${value}`;
        break;
      case "connect-protocol-version":
        if (version !== undefined) return undefined;
        version = value;
        break;
      case "content-encoding":
      case "transfer-encoding":
      case "expect":
        return undefined;
    }
  }
  const binary = contentType === undefined ? undefined : contentTypes.get(contentType);
  if (binary === undefined) return undefined;
  if (contentLength === undefined ? !exchange.bodyless : !isLength(contentLength, options.readMaxBytes))
    return undefined;
  if (options.requireConnectProtocolHeader && version !== "1") return undefined;
  if (timeout === undefined) return { binary, timeoutMs: undefined, acceptEncoding };
  const timeoutMs = /^\d{1,10}$/.test(timeout) ? Number(timeout) : Number.POSITIVE_INFINITY;
  if (timeoutMs > options.maxTimeoutMs || timeoutMs > longestTimeoutMs) return undefined;
  return { binary, timeoutMs, acceptEncoding };
}

const isLength = (text: string, atMost: number): boolean => /^\d{1,10}$/.test(text) && Number(text) <= atMost;
