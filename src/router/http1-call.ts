import type { FieldList } from "../http/exchange.js";
import type { Clock, Timer } from "../internal/clock.js";
import { tlsTrouble } from "./dial-failure.js";
import type { ConnectionUser, Http1Connection } from "./http1-connection.js";
import { AnswerFault, type AnswerHead, SpeaksHttp2 } from "./http1-head.js";
import { requestHead, trailerLines } from "./http1-request.js";
import type { UpstreamCall, UpstreamEvents, UpstreamFailure, UpstreamRequest } from "./upstream.js";

// How long a body waits for a 100 from a provider that may never have heard of it (RFC 9110, 10.1.1 asks for a limit).
const continueWaitMs = 1_000;
/** Up to here a piece of the body is joined with what goes in front of it: cheaper than two buffers in one write. */
const maxJoinedBytes = 4_096;

/** One call over HTTP/1.1. */
export class Http1Call implements UpstreamCall, ConnectionUser {
  /** What else is to be given up while there is no connection. */
  onCancel: (() => void) | undefined;
  #connection: Http1Connection | undefined;
  #over = false;
  /** The head, until the first bytes of the body take it along. */
  #head = "";
  /** Bytes of an announced body that are to come. */
  #left: number;
  #answered = false;
  #awaitsContinue = false;
  #timer: Timer | undefined;

  constructor(
    readonly request: UpstreamRequest,
    readonly events: UpstreamEvents,
    readonly authority: string,
    readonly clock: Clock,
  ) {
    this.#left = request.length ?? Number.POSITIVE_INFINITY;
  }

  begin(connection: Http1Connection): void {
    this.onCancel = undefined;
    if (this.#over) return connection.destroy();
    const { request } = this;
    const head = requestHead(request, this.authority);
    if (head === undefined) {
      // Nothing was written on it, so the connection is as good as new; but this is rare.
      connection.destroy();
      process.nextTick(() => this.fail({ kind: "invalid", message: "a field of the request has control characters" }));
      return;
    }
    this.#connection = connection;
    connection.begin(this, request.method);
    if (!request.hasBody) {
      connection.requestEnded();
      connection.writeLatin1(head);
      return;
    }
    if (request.expectsContinue) {
      this.#awaitsContinue = true;
      this.#timer = this.clock.after(continueWaitMs, () => this.#continue());
      connection.writeLatin1(head);
      return;
    }
    this.#head = head;
    this.events.ready(this);
    // The head must not wait for the body, but share a packet with what there is of it already: whoever was told just now
    // has begun to read, and gets that in the next tick, before this one's turn comes.
    if (this.#head !== "") process.nextTick(flushHead, this);
  }

  /** Ends the call without a connection. */
  fail(failure: UpstreamFailure): void {
    if (this.#over) return;
    this.#finish();
    this.events.broken(failure);
  }

  flushHead(): void {
    if (this.#head === "" || this.#over) return;
    this.#connection?.writeLatin1(this.#takeHead());
  }

  write(chunk: Buffer, isSpent = false): boolean {
    const connection = this.#connection;
    if (connection === undefined || this.#over || chunk.length === 0) return true;
    if (this.request.length !== undefined) {
      this.#left -= chunk.length;
      if (this.#left < 0) {
        this.#abort({ kind: "invalid", message: "the body is longer than its Content-Length" });
        return true;
      }
      return this.#put(connection, this.#takeHead(), chunk, "", isSpent);
    }
    return this.#put(connection, `${this.#takeHead()}${chunk.length.toString(16)}\r\n`, chunk, "\r\n", isSpent);
  }

  end(trailers: FieldList): void {
    const connection = this.#connection;
    if (connection === undefined || this.#over) return;
    if (this.request.length !== undefined && this.#left > 0) {
      // The provider would wait for the rest.
      this.#abort({ kind: "invalid", message: "the body is shorter than its Content-Length" });
      return;
    }
    const lines = trailerLines(trailers);
    if (lines === undefined) {
      this.#abort({ kind: "invalid", message: "a trailer of the request has control characters" });
      return;
    }
    const head = this.#takeHead();
    const rest = this.request.length === undefined ? `${head}0\r\n${lines}\r\n` : head;
    if (rest !== "") connection.writeLatin1(rest);
    connection.requestEnded();
  }

  get sent(): boolean {
    return !this.request.hasBody || (this.#connection?.sent ?? this.#answered);
  }

  pause(): void {
    this.#connection?.pause();
  }

  resume(): void {
    this.#connection?.resume();
  }

  cancel(): void {
    this.onCancel?.();
    this.#finish()?.destroy();
  }

  // From the connection.

  head(head: AnswerHead): void {
    if (head.status === 100) return this.#continue();
    if (head.status < 200) return this.events.informational(head.status, head.fields);
    this.#answered = true;
    this.#timer?.cancel();
    this.events.answered(head.status, head.fields, head.framing.kind === "none");
  }

  data(chunk: Buffer): void {
    this.events.data(chunk);
  }

  finished(trailers: FieldList): void {
    if (this.#over) return;
    this.#finish();
    this.events.ended(trailers);
  }

  drained(): void {
    if (!this.#over) this.events.drained();
  }

  lost(error: Error): void {
    if (this.#over) return;
    this.#finish();
    this.events.broken({ kind: kindOf(error), message: tlsTrouble(error) ?? error.message });
  }

  #continue(): void {
    if (!this.#awaitsContinue || this.#over || this.#answered) return;
    this.#awaitsContinue = false;
    this.#timer?.cancel();
    this.events.ready(this);
  }

  #takeHead(): string {
    const head = this.#head;
    this.#head = "";
    return head;
  }

  #put(connection: Http1Connection, before: string, chunk: Buffer, after: string, isSpent: boolean): boolean {
    if (before === "" && after === "") return connection.write(chunk, isSpent);
    if (chunk.length <= maxJoinedBytes) {
      return connection.writeLatin1(before + chunk.toString("latin1") + after);
    }
    connection.cork();
    connection.writeLatin1(before);
    let room = connection.write(chunk, isSpent);
    if (after !== "") room = connection.writeLatin1(after);
    connection.uncork();
    return room;
  }

  #abort(failure: UpstreamFailure): void {
    this.#finish()?.destroy();
    this.events.broken(failure);
  }

  #finish(): Http1Connection | undefined {
    const connection = this.#connection;
    this.#over = true;
    this.#connection = undefined;
    this.#timer?.cancel();
    return connection;
  }
}

function kindOf(error: Error): UpstreamFailure["kind"] {
  if (error instanceof SpeaksHttp2) return "speaks-http2";
  return error instanceof AnswerFault ? "bad-answer" : "broken";
}

function flushHead(call: Http1Call): void {
  call.flushHead();
}
