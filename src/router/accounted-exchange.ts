import type { Readable } from "node:stream";
import { CountedBody } from "../http/counted-body.js";
import type { ExchangeEnd, FieldList, ServerExchange } from "../http/exchange.js";
import { RewrittenExchange } from "../http/rewritten-exchange.js";
import type { CallAccount } from "./call-account.js";
import { bodyTooLong } from "./decide.js";
import { EnvelopeTracker } from "./envelope-tracker.js";
import { answersInEnvelopes } from "./protocol.js";
import { failureOf, sendError } from "./protocol-error.js";

/** What stands for the request of an {@link AccountedExchange}, and what it is held to. */
export interface AccountedRequest {
  readonly target: string;
  readonly fields: FieldList;
  readonly account: CallAccount;
  readonly maxBodyBytes: number;
}

/** An exchange that the host answers itself, and that keeps account of the request and the answer. */
export class AccountedExchange extends RewrittenExchange {
  readonly #account: CallAccount;
  #fields: FieldList = [];
  #trailers: FieldList = [];
  #tracker: EnvelopeTracker | undefined;
  readonly #maxBodyBytes: number;
  #body: CountedBody | undefined;
  /** Whether the request turned out to be too long, so that whoever answers it has nothing more to say. */
  #isRefused = false;

  /** @param ended called once, when the exchange is over and the account complete */
  constructor(behind: ServerExchange, { target, fields, account, maxBodyBytes }: AccountedRequest, ended: () => void) {
    super(behind, target, fields);
    this.#account = account;
    this.#maxBodyBytes = maxBodyBytes;
    behind.onEnd((end) => {
      this.#close(end);
      ended();
    });
  }

  /** Waits for the code that answers. That its request was cut off as too long is not for anybody to deal with. */
  async answeredBy(code: Promise<unknown>): Promise<void> {
    try {
      await code;
    } catch (error) {
      if (!this.#isRefused) throw error;
    }
  }

  override get body(): Readable {
    if (this.bodyless) return super.body;
    if (this.#body === undefined) {
      let bytes = 0;
      this.#body = new CountedBody(super.body, (length) => {
        bytes += length;
        this.#account.requestBytes = bytes;
        return bytes <= this.#maxBodyBytes || this.#refuse();
      });
    }
    return this.#body;
  }

  override informational(status: number, fields: FieldList): void {
    if (!this.#isRefused) super.informational(status, fields);
  }

  override respond(status: number, fields: FieldList, endOfAnswer?: boolean): void {
    if (this.#isRefused) return;
    this.#begin(status, fields);
    super.respond(status, fields, endOfAnswer);
  }

  override reply(status: number, fields: FieldList, body: Uint8Array | string): void {
    if (this.#isRefused) return;
    this.#begin(status, fields);
    const bytes = typeof body === "string" ? Buffer.from(body, "utf8") : body;
    this.#passed(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    super.reply(status, fields, bytes);
  }

  override write(chunk: Buffer): boolean {
    if (this.#isRefused) return true;
    this.#passed(chunk);
    return super.write(chunk);
  }

  override end(trailers?: FieldList): void {
    if (this.#isRefused) return;
    this.#trailers = trailers ?? [];
    super.end(trailers);
  }

  #refuse(): false {
    const account = this.#account;
    if (this.responded) this.abort();
    else sendError(this, account.protocol, failureOf("resource_exhausted", 413, bodyTooLong(this.#maxBodyBytes)));
    this.#isRefused = true;
    return false;
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
