import type { validateUniversalHandlerOptions } from "@connectrpc/connect/protocol";
import type { ServerExchange } from "./exchange.js";

/** The options of a router, checked, with Connect's defaults. */
export type DirectOptions = ReturnType<typeof validateUniversalHandlerOptions>;

/** What the fields of an ordinary call say. */
export interface DirectHead {
  /** Whether messages are binary; JSON otherwise. */
  readonly binary: boolean;
  readonly timeoutMs: number | undefined;
  /** The compressions that the caller reads. */
  readonly acceptEncoding: string | undefined;
}

const unaryTypes: ReadonlyMap<string, boolean> = new Map([
  ["application/json", false],
  ["application/json; charset=utf-8", false],
  ["application/json;charset=utf-8", false],
  ["application/proto", true],
]);
const streamTypes: ReadonlyMap<string, boolean> = new Map([
  ["application/connect+json", false],
  ["application/connect+json; charset=utf-8", false],
  ["application/connect+json;charset=utf-8", false],
  ["application/connect+proto", true],
]);

/** Longer ones are more than a timer can count. */
const longestTimeoutMs = 2 ** 31 - 1;

interface Kind {
  readonly contentTypes: ReadonlyMap<string, boolean>;
  /** The field that names the compressions which the caller reads. */
  readonly accept: string;
  /** Fields that ask for something which only Connect's own handlers do. */
  readonly unusual: ReadonlySet<string>;
}

const unary: Kind = {
  contentTypes: unaryTypes,
  accept: "accept-encoding",
  unusual: new Set(["content-encoding", "transfer-encoding", "expect"]),
};
const stream: Kind = {
  contentTypes: streamTypes,
  accept: "connect-accept-encoding",
  unusual: new Set(["content-encoding", "connect-content-encoding", "expect"]),
};

/**
 * Undefined unless the request is an ordinary unary call: POST, a usual content type, no content encoding, a length
 * that is known and allowed, and nothing else that needs an answer of its own. Does not touch the body.
 */
export const readUnaryHead = (exchange: ServerExchange, options: DirectOptions): DirectHead | undefined =>
  hasAllowedLength(exchange, options.readMaxBytes) ? readHead(exchange, unary, options) : undefined;

/** The same for calls whose answer is a stream. Their one message comes in an envelope, and the body's length need not be known. */
export const readStreamHead = (exchange: ServerExchange, options: DirectOptions): DirectHead | undefined =>
  exchange.bodyless ? undefined : readHead(exchange, stream, options);

function readHead(exchange: ServerExchange, kind: Kind, options: DirectOptions): DirectHead | undefined {
  const { head, body } = exchange;
  // Who has begun to read it, in front of us, has a part that we do not get.
  if (head.method !== "POST" || body.readableFlowing !== null || body.readableDidRead || body.destroyed)
    return undefined;
  let contentType: string | undefined;
  let timeout: string | undefined;
  let acceptEncoding: string | undefined;
  let version: string | undefined;
  const { fields } = head;
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] as string;
    const value = fields[index + 1] as string;
    switch (name) {
      case "content-type":
        if (contentType !== undefined) return undefined;
        contentType = value;
        break;
      case "connect-timeout-ms":
        if (timeout !== undefined) return undefined;
        timeout = value;
        break;
      case "connect-protocol-version":
        if (version !== undefined) return undefined;
        version = value;
        break;
      case kind.accept:
        acceptEncoding = acceptEncoding === undefined ? value : `${acceptEncoding}, ${value}`;
        break;
      default:
        if (kind.unusual.has(name)) return undefined;
    }
  }
  const binary = contentType === undefined ? undefined : kind.contentTypes.get(contentType);
  if (binary === undefined) return undefined;
  if (options.requireConnectProtocolHeader && version !== "1") return undefined;
  if (timeout === undefined) return { binary, timeoutMs: undefined, acceptEncoding };
  const timeoutMs = /^\d{1,10}$/.test(timeout) ? Number(timeout) : Number.POSITIVE_INFINITY;
  if (timeoutMs > options.maxTimeoutMs || timeoutMs > longestTimeoutMs) return undefined;
  return { binary, timeoutMs, acceptEncoding };
}

/** Whether exactly one length is given, and not more than `atMost` bytes. */
function hasAllowedLength({ head: { fields }, bodyless }: ServerExchange, atMost: number): boolean {
  let length: string | undefined;
  for (let index = 0; index + 1 < fields.length; index += 2) {
    if (fields[index] !== "content-length") continue;
    if (length !== undefined) return false;
    length = fields[index + 1] as string;
  }
  return length === undefined ? bodyless : /^\d{1,10}$/.test(length) && Number(length) <= atMost;
}
