import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { ExchangeOptions } from "./base-exchange.js";
import type { ServerExchange } from "./exchange.js";
import { Http1Exchange } from "./http1-exchange.js";
import { Http2Exchange } from "./http2-exchange.js";

/**
 * An exchange of the objects that a server of somebody else passes to its handlers: node:http, node:http2, Express,
 * Fastify (`request.raw`, `reply.raw` after `reply.hijack()`). What such a server has done already stays: a body
 * that a parser has read is gone, `100 Continue` was sent, and the server's own timeouts apply.
 */
export function mountedExchange(
  req: IncomingMessage | Http2ServerRequest,
  res: ServerResponse | Http2ServerResponse,
  options: ExchangeOptions = {},
): ServerExchange {
  if (!("stream" in req) || req.httpVersionMajor !== 2) {
    return new Http1Exchange(req as IncomingMessage, res as ServerResponse, options);
  }
  return new Http2Exchange(req.stream, req.headers, req.rawHeaders, options);
}
