import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Duplex } from "node:stream";
import type { ExchangeOptions } from "./base-exchange.js";
import type { ExchangeHandler, ServerExchange } from "./exchange.js";
import { hasBody } from "./h2c-upgrade.js";
import { Http1Exchange } from "./http1-exchange.js";
import { Http2Exchange } from "./http2-exchange.js";
import { answerPlain, type HeadLimits, http1Refusal, http2Refusal, type Refusal } from "./request-check.js";

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

/** Requests of somebody else's server, held to what our own server holds requests to. */
export class MountedRequests {
  readonly #limits: HeadLimits;
  readonly #handler: ExchangeHandler;
  /** Connections on which a request was refused: nothing behind that is a request any more. */
  readonly #refused = new WeakSet<Duplex>();

  constructor(limits: HeadLimits, handler: ExchangeHandler) {
    this.#limits = limits;
    this.#handler = handler;
  }

  serve(req: IncomingMessage | Http2ServerRequest, res: ServerResponse | Http2ServerResponse): void {
    const exchange = mountedExchange(req, res);
    const isHttp2 = exchange instanceof Http2Exchange;
    // The server in front has seen to `Expect`, by an answer of its own or with `100 Continue`.
    const refusal = isHttp2
      ? http2Refusal(req.headers, req.rawHeaders, this.#limits)
      : http1Refusal(req as IncomingMessage, this.#limits, undefined);
    if (!isHttp2 && this.#refused.has(req.socket)) return;
    if (refusal === undefined) return void this.#handler(exchange);
    if (!isHttp2) this.#refused.add(req.socket);
    answerPlain(exchange, refusal.status, refusal.message, ["connection", "close"]);
  }

  /** Why a request to upgrade is refused. Whoever asks answers on the socket. */
  upgradeRefusal(req: IncomingMessage, socket: Duplex): Refusal | undefined {
    if (this.#refused.has(socket)) return behindRefused;
    return (
      http1Refusal(req, this.#limits, undefined) ?? (req.method !== "GET" || hasBody(req) ? badUpgrade : undefined)
    );
  }
}

const behindRefused: Refusal = Object.freeze({ status: 400, message: "the request before was refused" });
const badUpgrade: Refusal = Object.freeze({ status: 400, message: "only a GET without a body can be upgraded" });
