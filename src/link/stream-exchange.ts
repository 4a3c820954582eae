import { Readable, Writable } from "node:stream";
import { BaseExchange, ignoreError } from "../http/base-exchange.js";
import type { FieldList, RequestHead } from "../http/exchange.js";
import { noFields } from "../http/field-list.js";
import { type ResetCode, resetCode } from "./frame.js";
import type { LinkEnd, LinkStream, LinkStreamHandler } from "./link-stream.js";

/**
 * A call on a link as an exchange, so that everything that serves HTTP serves calls on links, too. How request and answer
 * are written on the stream is for those who extend it. It takes the bytes of the call as its reader does, and not more
 * than a window of them.
 */
export abstract class StreamExchange extends BaseExchange {
  /** What the call's session is given. */
  readonly handler: LinkStreamHandler = {
    pieces: true,
    onData: (bytes, endOfMessage) => this.#onData(bytes, endOfMessage),
    onEnd: (end) => this.#onEnd(end),
    onReset: () => {
      this.settle("caller-gone");
      this.#release();
    },
    onDrain: () => {
      const drained = this.#drained;
      this.#drained = undefined;
      drained?.();
    },
  };
  abstract override readonly head: RequestHead & { target: string };
  readonly body: Readable;
  readonly response: Writable;
  protected readonly stream: LinkStream;
  #responded = false;
  #anything = false;
  #requestTrailers: FieldList | undefined;
  #trailers: FieldList = noFields;
  /** Bytes were handed to a reader who has enough for now. */
  #owesRoom = false;
  #drained: (() => void) | undefined;

  constructor(stream: LinkStream) {
    super({});
    this.stream = stream;
    this.body = new Readable({
      read: () => {
        if (!this.#owesRoom) return;
        this.#owesRoom = false;
        stream.consume();
      },
      destroy: (error, done) => {
        // Who gives up on the request half-way gives up on the call, as over HTTP/2.
        if (this.#requestTrailers === undefined) this.abort();
        done(error);
      },
    });
    this.response = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (this.answer(chunk)) done();
        else this.#drained = done;
      },
      final: (done) => {
        if (this.ended === undefined) this.finish(this.#trailers);
        this.settle("completed");
        done();
      },
    });
    this.body.on("error", ignoreError);
    this.response.on("error", ignoreError);
  }

  /** Takes the next bytes of the request, see {@link LinkStreamHandler.onData}. False if the reader has enough for now. */
  protected abstract received(bytes: Uint8Array, endOfMessage: boolean): boolean;
  /** Sends the head of the answer. */
  protected abstract begin(status: number, fields: FieldList): void;
  /** Sends bytes of the answer's body. False if more should wait. */
  protected abstract answer(chunk: Buffer): boolean;
  /** Ends the answer. */
  protected abstract finish(trailers: FieldList): void;

  /** Whether the request came with no bytes at all. Known after the tick in which the call came. */
  get bodyless(): boolean {
    return this.#requestTrailers !== undefined && !this.#anything;
  }

  get responded(): boolean {
    return this.#responded;
  }

  requestTrailers(): FieldList {
    return this.#requestTrailers ?? noFields;
  }

  informational(status: number, fields: FieldList): void {
    if (!this.#responded && this.ended === undefined)
      this.stream.sendHead([":status", String(status), ...fields], true);
  }

  respond(status: number, fields: FieldList, endOfAnswer = false): void {
    if (this.#responded || this.ended !== undefined) return;
    this.#responded = true;
    this.begin(status, fields);
    if (endOfAnswer) this.end();
  }

  end(trailers: FieldList = noFields): void {
    if (this.ended !== undefined) return;
    this.#trailers = trailers;
    this.response.end();
  }

  abort(): void {
    this.fail(resetCode.unavailable, "the answer broke off");
  }

  /** Whether the request may end here. */
  protected complete(): boolean {
    return true;
  }

  /** Ends the call because of what came, or did not. */
  protected fail(code: ResetCode, message: string): void {
    if (this.ended !== undefined) return;
    this.stream.reset(code, message);
    this.settle("aborted");
    this.#release();
  }

  #onData(bytes: Uint8Array, endOfMessage: boolean): void {
    this.#anything = true;
    if (this.ended !== undefined || this.received(bytes, endOfMessage)) this.stream.consume();
    else this.#owesRoom = true;
  }

  #onEnd({ trailers }: LinkEnd): void {
    if (this.ended !== undefined || !this.complete()) return;
    this.#requestTrailers = trailers;
    this.body.push(null);
  }

  #release(): void {
    this.body.destroy();
    this.response.destroy();
  }
}
