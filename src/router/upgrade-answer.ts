import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { FieldList } from "../http/exchange.js";
import { toFieldList } from "../http/field-list.js";
import { Http1Exchange } from "../http/http1-exchange.js";
import { endGently } from "../http/last-answer.js";
import { AnswerRelay } from "./answer-relay.js";
import { isPassedInformational, maxInformational, responseFields } from "./response-headers.js";
import type { Tunnel } from "./tunnel.js";

/**
 * What a provider says to a request to upgrade before it switches, or instead. It goes back as any other answer does,
 * and is the last one on its connection.
 */
export class UpgradeAnswer {
  readonly #tunnel: Tunnel;
  readonly #over: () => void;
  /** Made when it is needed: nearly every upgrade is granted. */
  #exchange: Http1Exchange | undefined;
  #informational = 0;

  /** @param over called when the caller has got the answer, or will never get it */
  constructor(tunnel: Tunnel, over: () => void) {
    this.#tunnel = tunnel;
    this.#over = over;
  }

  informational(status: number, fields: FieldList): void {
    if (!isPassedInformational(status) || ++this.#informational > maxInformational) return;
    this.#open().informational(status, responseFields(fields, undefined, false));
  }

  /** From now on somebody else writes on the caller's connection. */
  giveWay(): void {
    this.#exchange?.raw.res.detachSocket(this.#tunnel.socket as Socket);
    this.#exchange = undefined;
  }

  /** Passes on an answer that refuses. */
  refuse(answer: IncomingMessage): void {
    const { account, context, socket, failed, answered, broke, gone } = this.#tunnel;
    const exchange = this.#open();
    const relay = new AnswerRelay(exchange, account, () => answer);
    const status = answer.statusCode ?? 0;
    const isHeadOnly = status === 204 || status === 304;
    try {
      relay.begin(status, toFieldList(answer.rawHeaders), isHeadOnly, context.options.viaName);
    } catch (error) {
      account.status = 0;
      this.giveWay();
      answer.destroy();
      return failed(`answered with fields that cannot be passed on: ${(error as Error).message}`, 502);
    }
    answered();
    exchange.onEnd((end) => {
      account.responseBytes = relay.bytes;
      if (end.kind === "completed") this.#close();
      // An answer without a body was handed over as a whole: a caller that closes then has got it.
      else if (end.kind === "caller-gone" && !isHeadOnly) gone();
      this.#over();
    });
    // Whoever closes the caller's connection has said why, and cuts the provider's off, too.
    const isOver = (): boolean => exchange.ended !== undefined || socket.destroyed;
    answer.on("data", (chunk: Buffer) => relay.data(chunk));
    answer.on("end", () => {
      if (isOver()) return;
      const trailers = toFieldList(answer.rawTrailers);
      relay.complete(trailers);
      relay.end(trailers);
    });
    answer.on("error", (error) => {
      if (isOver()) return;
      exchange.abort();
      broke(error.message);
    });
  }

  #open(): Http1Exchange {
    if (this.#exchange !== undefined) return this.#exchange;
    const { request, socket, context } = this.#tunnel;
    const res = new ServerResponse(request);
    // Nobody reads another request from a connection that was handed over.
    res.shouldKeepAlive = false;
    res.assignSocket(socket as Socket);
    // The server, which otherwise tells of it, has let go of the connection.
    socket.on("drain", () => res.emit("drain"));
    this.#exchange = new Http1Exchange(request, res, { clock: context.clock });
    return this.#exchange;
  }

  #close(): void {
    const { socket, context } = this.#tunnel;
    this.giveWay();
    endGently(socket, context.clock);
  }
}
