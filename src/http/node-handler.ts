import type { IncomingMessage, ServerResponse } from "node:http";
import { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { ExchangeHandler } from "./exchange.js";
import { Http1Exchange } from "./http1-exchange.js";
import { Http2Exchange } from "./http2-exchange.js";

/** A handler for the objects of node:http. Over HTTP/2 it gets node:http2's compatibility objects, which look alike. */
export type NodeFunction = (req: IncomingMessage, res: ServerResponse) => unknown;

/**
 * Serves exchanges with a handler written for node:http. Frameworks that replace the prototypes of these objects
 * (Express up to 5) can serve HTTP/1.1 only. If the handler throws or rejects, so does the exchange's.
 */
export function nodeHandler(handler: NodeFunction): ExchangeHandler {
  return async (exchange) => {
    if (exchange instanceof Http1Exchange) {
      await handler(exchange.raw.req, exchange.raw.res);
    } else if (exchange instanceof Http2Exchange) {
      const { stream, headers, rawHeaders } = exchange.raw;
      const req = new Http2ServerRequest(stream, headers, {}, rawHeaders);
      const res = new Http2ServerResponse(stream);
      await handler(req as unknown as IncomingMessage, res as unknown as ServerResponse);
    } else {
      throw new TypeError("a handler for node:http can serve exchanges over HTTP/1.1 and HTTP/2 only");
    }
  };
}
