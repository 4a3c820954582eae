import { STATUS_CODES } from "node:http";
import type { ServerHttp2Session } from "node:http2";
import type { Duplex } from "node:stream";
import type { Clock } from "../internal/clock.js";
import type { ExchangeOwner } from "./base-exchange.js";
import type { ConnectionInfo, ServerExchange } from "./exchange.js";
import type { Http1ExchangeOptions } from "./http1-exchange.js";
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
  /** HTTP/1.1: whether a request was refused, so that nothing behind it is a request any more. */
  refusing = false;
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

  becomes(state: "http1" | "upgraded" | ServerHttp2Session): void {
    this.#state = state;
  }

  begin(exchange: ServerExchange): void {
    this.exchanges.add(exchange);
  }

  exchangeEnded(exchange: ServerExchange): void {
    this.exchanges.delete(exchange);
    this.#dropping += 1;
  }

  exchangeReleased(): void {
    this.#dropping -= 1;
    if (this.#closing && this.#state === "http1" && this.#idle) this.#end();
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
   * Ends a connection whose next request cannot be served at all, with an answer if that cannot be mistaken for
   * the answer to another request.
   *
   * @param reason one line. @default the status in words
   */
  refuse(status: number, reason: string = STATUS_CODES[status] ?? "Refused"): void {
    if (this.#state === "refused" || this.refusing) return;
    const { socket } = this;
    const answered = [...this.exchanges].some((exchange) => exchange.responded);
    const behindAnother = this.exchanges.size > 1;
    this.#state = "refused";
    if (answered || behindAnother) socket.destroy();
    else endWithAnswer(socket, this.#clock, plainLastAnswer(status, reason));
  }

  get #idle(): boolean {
    return this.exchanges.size === 0 && this.#dropping === 0;
  }

  #end(): void {
    const { socket } = this;
    if ("destroySoon" in socket && typeof socket.destroySoon === "function") socket.destroySoon();
    else socket.end();
  }
}
