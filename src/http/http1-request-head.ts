import type { IncomingMessage } from "node:http";
import type { ConnectionInfo, FieldList, RequestHead } from "./exchange.js";
import { fieldValue, toFieldList } from "./field-list.js";
import { connectionInfoOf } from "./socket-info.js";

/** The head of a request of node:http. Its fields are put into a list when somebody asks for them. */
export class Http1Head implements RequestHead {
  readonly #req: IncomingMessage;
  #fields: FieldList | undefined;
  #connection: ConnectionInfo | undefined;

  constructor(req: IncomingMessage, connection: ConnectionInfo | undefined) {
    this.#req = req;
    this.#connection = connection;
  }

  get method(): string {
    return this.#req.method ?? "";
  }

  get target(): string {
    return this.#req.url ?? "";
  }

  set target(target: string) {
    this.#req.url = target;
  }

  get authority(): string {
    return this.#req.headers.host ?? "";
  }

  get httpVersion(): "1.0" | "1.1" {
    return this.#req.httpVersionMinor === 0 ? "1.0" : "1.1";
  }

  get fields(): FieldList {
    this.#fields ??= toFieldList(this.#req.rawHeaders);
    return this.#fields;
  }

  header(name: string): string | undefined {
    return fieldValue(this.fields, name);
  }

  get connection(): ConnectionInfo {
    this.#connection ??= connectionInfoOf(this.#req.socket);
    return this.#connection;
  }
}
