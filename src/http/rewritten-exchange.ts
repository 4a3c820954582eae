import type { Readable, Writable } from "node:stream";
import type { ExchangeEnd, FieldList, RequestHead, ServerExchange } from "./exchange.js";
import { fieldValue } from "./field-list.js";

/** An exchange with another target and other fields in its head. Everything else is that of the exchange behind it. */
export class RewrittenExchange implements ServerExchange {
  readonly head: RequestHead & { target: string };
  readonly #behind: ServerExchange;

  constructor(behind: ServerExchange, target: string, fields: FieldList) {
    const { method, authority, httpVersion, connection } = behind.head;
    const header = (name: string) => fieldValue(fields, name);
    this.#behind = behind;
    this.head = { method, target, authority, httpVersion, fields, header, connection };
  }

  retarget(target: string): void {
    this.head.target = target;
  }

  get body(): Readable {
    return this.#behind.body;
  }

  get ownsBody(): boolean {
    return this.#behind.ownsBody;
  }

  get bodyless(): boolean {
    return this.#behind.bodyless;
  }

  get responded(): boolean {
    return this.#behind.responded;
  }

  write(chunk: Buffer): boolean {
    return this.#behind.write(chunk);
  }

  get response(): Writable {
    return this.#behind.response;
  }

  get ended(): ExchangeEnd | undefined {
    return this.#behind.ended;
  }

  requestTrailers(): FieldList {
    return this.#behind.requestTrailers();
  }

  informational(status: number, fields: FieldList): void {
    this.#behind.informational(status, fields);
  }

  respond(status: number, fields: FieldList, endOfAnswer?: boolean): void {
    this.#behind.respond(status, fields, endOfAnswer);
  }

  reply(status: number, fields: FieldList, body: Uint8Array | string): void {
    this.#behind.reply(status, fields, body);
  }

  end(trailers?: FieldList): void {
    this.#behind.end(trailers);
  }

  abort(): void {
    this.#behind.abort();
  }

  onEnd(listener: (end: ExchangeEnd) => void): void {
    this.#behind.onEnd(listener);
  }
}
