import type { EventEmitter } from "node:events";
import { type IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { ExchangeOptions } from "./base-exchange.js";
import type { ExchangeHandler, ServerExchange } from "./exchange.js";
import { hasBody, headWithoutUpgrade, offersOnlyH2c } from "./h2c-upgrade.js";
import { answerOn, holdInput } from "./held-input.js";
import { endConnection, Http1Exchange } from "./http1-exchange.js";
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

/** Takes an upgrade with what was sent behind its head. With `refusal` it is to be refused. */
export type UpgradeTaker = (head: Buffer, refusal: Refusal | undefined) => void;

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

  /**
   * What is done with a request to upgrade, once the answers to those in front of it on its connection have left. One that
   * only offers h2c goes back to its server as any other request; all others go to `take`, with why they are refused.
   */
  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer, take: UpgradeTaker): void {
    const release = answerOn(req.socket) === undefined ? () => head : holdInput(socket, head);
    whenAnswered(req.socket, () => {
      const input = release();
      if (!socket.writable) return void socket.destroy();
      const refusal = this.upgradeRefusal(req, socket);
      const isIgnored = offersOnlyH2c(req) && (refusal === undefined || refusal === badUpgrade);
      if (isIgnored && serveAgain(req, socket, input)) return;
      take(input, refusal);
    });
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

/** Calls `then` when no answer of node:http is open on the connection; at once if none is. Not if the connection is lost. */
function whenAnswered(socket: Duplex, then: () => void): void {
  const answer = answerOn(socket);
  if (answer === undefined) return then();
  answer.once("close", () => whenAnswered(socket, then));
}

/** Gives a request without its upgrade back to the server that its connection came from. False if that is not known. */
function serveAgain(req: IncomingMessage, stream: Duplex, input: Buffer): boolean {
  const socket = req.socket as Socket & { readonly server?: EventEmitter };
  if (socket.server === undefined) return false;
  // Newer versions of Node keep the body of what they hand over, and if that is not whole yet, the connection with it.
  if (stream !== socket || req.readableLength > 0) return serveLast(req, socket.server);
  socket.pause();
  socket.unshift(Buffer.concat([headWithoutUpgrade(req), input]));
  // As the documentation of node:http has it for connections that somebody else brings.
  socket.server.emit("encrypted" in socket ? "secureConnection" : "connection", socket);
  socket.resume();
  return true;
}

/** Has a request served whose connection node:http has let go of, and ends that with the answer. */
function serveLast(req: IncomingMessage, server: EventEmitter): true {
  const { socket } = req;
  const res = new ServerResponse(req);
  res.shouldKeepAlive = false;
  res.assignSocket(socket);
  res.once("finish", () => {
    res.detachSocket(socket);
    endConnection(socket);
  });
  server.emit("request", req, res);
  return true;
}
