import { envelope } from "../http/envelope.js";
import type { ConnectionInfo, FieldList, RequestHead } from "../http/exchange.js";
import { fieldValue } from "../http/field-list.js";
import { ConnectAnswer } from "./connect-answer.js";
import { callKind, resetCode } from "./frame.js";
import type { LinkCallHead, LinkStream } from "./link-stream.js";
import type { MessageBudget } from "./message-budget.js";
import { StreamExchange } from "./stream-exchange.js";

// What a caller could say with these would be about an HTTP request, which is ours to write.
const ofRequest: ReadonlySet<string> = new Set([
  "accept-encoding",
  "connect-accept-encoding",
  "connect-content-encoding",
  "connect-protocol-version",
  "connect-timeout-ms",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

class MessageHead implements RequestHead {
  readonly method = "POST";
  target: string;
  readonly authority: string;
  readonly httpVersion: "1.1" | "2";
  readonly fields: string[];
  readonly connection: ConnectionInfo;

  constructor({ kind, path, deadlineMs, fields }: LinkCallHead, connection: ConnectionInfo, authority: string) {
    const isUnary = kind === callKind.unary;
    this.target = path;
    this.authority = authority;
    // Both directions at once are what HTTP/2 is for; for everything else HTTP/1.1 is the shorter way.
    this.httpVersion = isUnary ? "1.1" : "2";
    this.connection = connection;
    this.fields = ["content-type", isUnary ? "application/proto" : "application/connect+proto"];
    this.fields.push("connect-protocol-version", "1");
    if (deadlineMs > 0) this.fields.push("connect-timeout-ms", String(Math.min(deadlineMs, longestTimeoutMs)));
    for (let index = 0; index < fields.length; index += 2) {
      const name = fields[index] as string;
      if (!ofRequest.has(name) && !name.startsWith(":")) this.fields.push(name, fields[index + 1] as string);
    }
  }

  header(name: string): string | undefined {
    return fieldValue(this.fields, name);
  }
}

// As many as `connect-timeout-ms` has digits for.
const longestTimeoutMs = 9_999_999_999;

/**
 * A call of messages as the request of the Connect protocol that would be the same call, for what only HTTP reaches: the
 * host's own procedures, and plugins without a link. Begin to serve it in the next tick, when it is known what came with
 * the call.
 */
export class MessageExchange extends StreamExchange {
  readonly head: MessageHead;
  readonly #isUnary: boolean;
  readonly #budget: MessageBudget;
  readonly #answer: ConnectAnswer;
  #hasMessage = false;
  #isMessageOpen = false;
  /** Pieces of a message of a stream, whose length has to be known before its first byte. */
  #parts: Buffer[] = [];
  #partsBytes = 0;

  constructor(stream: LinkStream, connection: ConnectionInfo, authority: string, budget: MessageBudget) {
    super(stream);
    this.head = new MessageHead(stream.head, connection, authority);
    this.#isUnary = stream.head.kind === callKind.unary;
    this.#budget = budget;
    this.#answer = new ConnectAnswer(stream, this.#isUnary);
    this.onEnd(() => this.#drop());
  }

  /** There is a message, or a stream that may be empty. */
  override get bodyless(): boolean {
    return false;
  }

  protected received(bytes: Uint8Array, endOfMessage: boolean): boolean {
    if (this.#isUnary) return this.#receivedUnary(bytes, endOfMessage);
    if (endOfMessage && this.#partsBytes === 0) return this.body.push(envelope(0, bytes));
    if (!this.#budget.take(bytes.length)) {
      this.fail(resetCode.tooLarge, "too many bytes of unfinished messages on this link");
      return true;
    }
    this.#parts.push(Buffer.from(bytes));
    this.#partsBytes += bytes.length;
    // Nobody can read a message that is not whole, and it may be larger than the window. But whoever has enough to read
    // lets the sender feel it.
    if (!endOfMessage) return this.body.readableLength < this.body.readableHighWaterMark;
    const whole = Buffer.concat(this.#parts);
    this.#drop();
    return this.body.push(envelope(0, whole));
  }

  #receivedUnary(bytes: Uint8Array, endOfMessage: boolean): boolean {
    if (this.#hasMessage && !this.#isMessageOpen) {
      this.fail(resetCode.protocol, "a unary call with more than one message");
      return true;
    }
    // What came whole can say how long it is, which spares everybody behind a lot.
    if (!this.#hasMessage && endOfMessage && this.stream.peerEnd !== undefined) {
      this.head.fields.push("content-length", String(bytes.length));
    }
    this.#hasMessage = true;
    this.#isMessageOpen = !endOfMessage;
    if (bytes.length === 0) return true;
    return this.body.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }

  protected override complete(): boolean {
    if (this.#partsBytes > 0 || this.#isMessageOpen) {
      this.fail(resetCode.protocol, "the request ended inside a message");
      return false;
    }
    if (!this.#isUnary || this.#hasMessage) return true;
    this.fail(resetCode.protocol, "a unary call without a message");
    return false;
  }

  /** In one step, as most answers are given. */
  override reply(status: number, fields: FieldList, body: Uint8Array | string): void {
    if (this.responded || this.ended !== undefined) return;
    this.respond(status, fields);
    const bytes = typeof body === "string" ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.length);
    this.#answer.data(bytes);
    this.end();
  }

  protected begin(status: number, fields: FieldList): void {
    this.#answer.begin(status, fields);
  }

  protected answer(chunk: Buffer): boolean {
    return this.#answer.data(chunk);
  }

  protected finish(trailers: FieldList): void {
    this.#answer.finish(trailers);
  }

  #drop(): void {
    this.#budget.give(this.#partsBytes);
    this.#parts = [];
    this.#partsBytes = 0;
  }
}
