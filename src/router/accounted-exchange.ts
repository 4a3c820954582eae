import type { ExchangeEnd, FieldList, ServerExchange } from "../http/exchange.js";
import { RewrittenExchange } from "../http/rewritten-exchange.js";
import type { CallAccount } from "./call-account.js";
import { EnvelopeTracker } from "./envelope-tracker.js";
import { answersInEnvelopes } from "./protocol.js";
import { failureOf } from "./protocol-error.js";

/** An exchange that the host answers itself, and that keeps account of the answer. */
export class AccountedExchange extends RewrittenExchange {
  readonly #account: CallAccount;
  #fields: FieldList = [];
  #trailers: FieldList = [];
  #tracker: EnvelopeTracker | undefined;

  /** @param ended called once, when the exchange is over and the account complete */
  constructor(behind: ServerExchange, target: string, fields: FieldList, account: CallAccount, ended: () => void) {
    super(behind, target, fields);
    this.#account = account;
    behind.onEnd((end) => {
      this.#close(end);
      ended();
    });
  }

  override respond(status: number, fields: FieldList, endOfAnswer?: boolean): void {
    this.#begin(status, fields);
    super.respond(status, fields, endOfAnswer);
  }

  override reply(status: number, fields: FieldList, body: Uint8Array | string): void {
    this.#begin(status, fields);
    const bytes = typeof body === "string" ? Buffer.from(body, "utf8") : body;
    this.#passed(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    super.reply(status, fields, bytes);
  }

  override write(chunk: Buffer): boolean {
    this.#passed(chunk);
    return super.write(chunk);
  }

  override end(trailers?: FieldList): void {
    this.#trailers = trailers ?? [];
    super.end(trailers);
  }

  #begin(status: number, fields: FieldList): void {
    this.#account.status = status;
    this.#fields = fields;
    const type = fields[fields.indexOf("content-type") + 1] ?? "";
    if (status === 200 && answersInEnvelopes(this.#account.protocol, type)) this.#tracker = new EnvelopeTracker();
  }

  #passed(chunk: Buffer): void {
    this.#account.responseBytes += chunk.length;
    this.#tracker?.push(chunk);
  }

  #close(end: ExchangeEnd): void {
    const account = this.#account;
    if (end.kind === "completed") {
      account.completed(account.status, this.#fields, this.#trailers, this.#tracker);
    } else if (end.kind === "caller-gone") {
      account.failed(failureOf("canceled", 499, "the caller went away"), "caller-gone");
    } else {
      account.failed(failureOf("internal", 500, "the answer was cut off"), "aborted");
    }
  }
}
