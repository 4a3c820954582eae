import { STATUS_CODES } from "node:http";
import type { ServerHttp2Session } from "node:http2";
import type { Duplex } from "node:stream";
import type { Clock } from "../internal/clock.js";
import type { ExchangeOwner } from "./base-exchange.js";
import type { ConnectionInfo, ServerExchange } from "./exchange.js";
import { holdInput } from "./held-input.js";
import { endConnection, Http1Exchange, type Http1ExchangeOptions } from "./http1-exchange.js";
import { endWithAnswer, plainLastAnswer } from "./last-answer.js";

/** One connection of a server, and the exchanges on it. */
export class ServerConnection implements ExchangeOwner {
  readonly socket: Duplex;
  readonly info: ConnectionInfo;
  readonly exchanges = new Set<ServerExchange>();
  readonly #clock: Clock;
  #state: "detecting" | "http1" | "upgraded" | "refused" | ServerHttp2Session = "detecting";
  /** HTTP/1.1: answers whose request is still being dropped. */
  #dropping = 0;
  #closing = false;
  #isLast = false;
  /** HTTP/1.1: what is done as soon as the answers of the requests so far have left. */
  #next: (() => void) | undefined;
  /** What all exchanges of the connection are given; made by the server with the first. */
  exchangeOptions: Http1ExchangeOptions | undefined;

  constructor(socket: Duplex, info: ConnectionInfo, clock: Clock) {
    this.socket = socket;
    this.info = info;
    this.#clock = clock;
  }

  get closing(): boolean {
    return this.#closing;
  }

  /** HTTP/1.1: whether nothing that comes now is a request any more. */
  get refusing(): boolean {
    return this.#isLast || this.#state === "refused";
  }

  /** HTTP/1.1: the request that has just come is answered with the end of the connection. */
  refuseOthers(): void {
    this.#isLast = true;
  }

  becomes(state: "http1" | "upgraded" | ServerHttp2Session): void {
    this.#state = state;
  }

  begin(exchange: ServerExchange): void {
    this.exchanges.add(exchange);
  }

  exchangeEnded(exchange: ServerExchange): void {
    this.exchanges.delete(exchange);
    this.#dropping += 1;
    if (typeof this.#state === "object") return;
    if (exchange.ended?.kind === "completed") return this.#goOn();
    // With an answer that was cut off the connection ends.
    this.#isLast = true;
    this.#next = undefined;
  }

  exchangeReleased(): void {
    this.#dropping -= 1;
    if (this.#closing && this.#state === "http1" && this.#idle) endConnection(this.socket);
  }

  /** Lets what is going on finish, and closes then; at once if nothing is. */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    if (typeof this.#state === "object") this.#state.close();
    else if (this.#state === "detecting" || (this.#state === "http1" && this.#idle)) this.socket.destroy();
  }

  destroy(): void {
    if (typeof this.#state === "object") this.#state.destroy();
    this.socket.destroy();
  }

  /**
   * HTTP/1.1: ends a connection whose next request cannot be served at all, behind the answers to the requests in front of it.
   * If it is the body of a request that cannot be read, this is the answer to that one, unless another has begun.
   *
   * @param reason one line. @default the status in words
   */
  refuse(status: number, reason: string = STATUS_CODES[status] ?? "Refused"): void {
    if (this.refusing) return;
    const { socket } = this;
    this.#state = "refused";
    if (this.#isNext) return this.#answerLast(status, reason);
    // A caller who has closed its sending side counts as gone, as everywhere.
    if (socket.readableEnded) return void socket.end();
    this.#next = () => {
      // Otherwise one of the answers has said that it is the last.
      if (socket.writable) this.#answerLast(status, reason);
    };
  }

  /**
   * HTTP/1.1: keeps what comes on a connection that node:http has let go of until the answers to the requests so far have
   * left, and gives it to `then`. Never if the connection ends with them.
   */
  afterAnswers(first: Buffer, then: (input: Buffer) => void): void {
    if (this.#isNext) return then(first);
    const release = holdInput(this.socket, first);
    this.#next = () => {
      const input = release();
      if (this.socket.writable && !this.#closing) then(input);
    };
  }

  #answerLast(status: number, reason: string): void {
    const answered = [...this.exchanges].some((exchange) => exchange.responded);
    if (answered) this.socket.destroy();
    else endWithAnswer(this.socket, this.#clock, plainLastAnswer(status, reason));
  }

  #goOn(): void {
    if (this.#next === undefined || !this.#isNext) return;
    const next = this.#next;
    this.#next = undefined;
    next();
  }

  /** Whether what comes now, or what is wrong now, has no other answer in front of its own. */
  get #isNext(): boolean {
    if (this.exchanges.size === 0) return true;
    const [first] = this.exchanges;
    return this.exchanges.size === 1 && first instanceof Http1Exchange && !first.raw.req.complete;
  }

  get #idle(): boolean {
    return this.exchanges.size === 0 && this.#dropping === 0;
  }
}
