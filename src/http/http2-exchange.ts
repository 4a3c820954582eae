import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { type Readable, Writable } from "node:stream";
import type { Timer } from "../internal/clock.js";
import { BaseExchange, type ExchangeOptions, ignoreError, isBodyless } from "./base-exchange.js";
import type { ConnectionInfo, FieldList, RequestHead } from "./exchange.js";
import { fieldValue, hasField, joinCookies, noFields, toFieldList, toFieldObject } from "./field-list.js";
import { isInterim, toInterimFields } from "./interim-answer.js";
import { RequestDrain } from "./request-drain.js";
import { resetStream } from "./reset-stream.js";
import { connectionInfoOf } from "./socket-info.js";

/** What an exchange over HTTP/2 may be given. */
export interface Http2ExchangeOptions extends ExchangeOptions {
  /** What is known of the connection. @default what the session's socket says */
  readonly connection?: ConnectionInfo;
}

// Fields of one connection, which HTTP/2 forbids; node:http2 throws on them.
const forbidden = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
] as const;

// Those who speak in messages read answers while they send, and are used to being told at once that nobody listens any more;
// who sends a body may look at its answer only behind that.
const inMessages = /^application\/(?:grpc|connect\+)/i;

// How long a caller who speaks in messages may go on after the answer: time enough to end the request by itself, and on a busy
// machine to see the answer first.
const messagesTimeoutMs = 1_000;

class Http2Head implements RequestHead {
  readonly method: string;
  target: string;
  readonly authority: string;
  readonly httpVersion = "2";
  readonly fields: FieldList;
  readonly connection: ConnectionInfo;

  constructor(headers: IncomingHttpHeaders, raw: readonly string[], connection: ConnectionInfo) {
    this.method = String(headers[":method"] ?? "");
    this.target = String(headers[":path"] ?? "");
    this.authority = String(headers[":authority"] ?? headers.host ?? "");
    this.fields = joinCookies(toFieldList(raw));
    this.connection = connection;
  }

  header(name: string): string | undefined {
    return fieldValue(this.fields, name);
  }
}

/** An exchange over HTTP/2, on the streams of node:http2. Destroying `body` resets the stream. */
export class Http2Exchange extends BaseExchange {
  readonly head: Http2Head;
  /** What node:http2 gave, for handlers written for its compatibility objects. */
  readonly raw: {
    readonly stream: ServerHttp2Stream;
    readonly headers: IncomingHttpHeaders;
    readonly rawHeaders: readonly string[];
  };
  #trailers: FieldList = noFields;
  #requestTrailers: FieldList = noFields;
  #state: "open" | "ending" | "sent" = "open";
  /** Whether the answer is complete only when its trailers, or the lack of them, are told. */
  #trailersFollow = false;
  #sink: Writable | undefined;
  /** The length of the body that the head has announced. */
  #announced: number | undefined;
  #written = 0;
  /** Whether what somebody else writes to the stream is counted, too. */
  #countsAll = false;
  #drain: RequestDrain | undefined;
  /** Set while the end of the answer waits behind other frames, and a reset behind it. */
  #resetWaits: Timer | undefined;

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
    options: Http2ExchangeOptions = {},
  ) {
    super(options);
    this.raw = { stream, headers, rawHeaders };
    const connection = options.connection ?? connectionInfoOf(stream.session?.socket);
    this.head = new Http2Head(headers, rawHeaders, connection);
    stream.on("error", ignoreError);
    stream.on("aborted", () => this.settle("caller-gone"));
    stream.on("close", () => this.#closed());
    stream.on("finish", () => this.#finished());
    if (!stream.endAfterHeaders) {
      // Node's types leave out the last argument.
      stream.on("trailers", ((_object: unknown, _flags: number, raw: readonly string[]) => {
        this.#requestTrailers = toFieldList(raw);
      }) as () => void);
    }
    if (headers[":method"] === "HEAD") this.#sink = sink();
    if (headers.expect !== undefined) this.#continueOnRead();
  }

  get body(): Readable {
    return this.raw.stream;
  }

  get bodyless(): boolean {
    return this.raw.stream.endAfterHeaders;
  }

  get responded(): boolean {
    return this.raw.stream.headersSent;
  }

  get response(): Writable {
    if (this.#sink !== undefined) return this.#sink;
    this.#countAll();
    return this.raw.stream;
  }

  override write(chunk: Buffer): boolean {
    if (this.#sink !== undefined) return this.#sink.write(chunk);
    if (!this.#countsAll) this.#written += chunk.length;
    return this.raw.stream.write(chunk);
  }

  requestTrailers(): FieldList {
    return this.#requestTrailers;
  }

  informational(status: number, fields: FieldList): void {
    const { stream } = this.raw;
    if (this.#unusable() || stream.headersSent || !isInterim(status)) return;
    const sent = toInterimFields(fields);
    if (sent !== undefined) stream.additionalHeaders(toHttp2Fields(sent, status));
  }

  respond(status: number, fields: FieldList, endOfAnswer = false): void {
    if (this.#unusable()) return;
    const { stream } = this.raw;
    const headers = toHttp2Fields(fields, status);
    if (isBodyless(status)) this.#sink ??= sink();
    if (this.#sink === undefined && hasField(fields, "content-length"))
      this.#announced = Number(headers["content-length"]);
    if (endOfAnswer && (this.#announced ?? 0) !== 0) return this.abort();
    if (endOfAnswer || this.#sink !== undefined) return this.#respondWithHeadOnly(headers);
    this.#trailersFollow = true;
    // Node's compatibility objects on the same stream would send trailers of their own, and only one set can be sent.
    stream.removeAllListeners("wantTrailers");
    stream.on("wantTrailers", () => this.#sendTrailers());
    stream.respond(headers, { waitForTrailers: true });
  }

  end(trailers: FieldList = noFields): void {
    const { stream } = this.raw;
    if (this.#state !== "open" || this.#unusable()) return;
    this.#state = "ending";
    if (!stream.headersSent) this.respond(200, noFields);
    // An answer of only a head was complete with that.
    if (stream.writableEnded) return;
    if (this.#announced !== undefined && this.#announced !== this.#written) return this.abort();
    this.#trailers = trailers;
    if (!this.bodyless && !stream.readableEnded) this.#dropRequest();
    stream.end();
  }

  abort(): void {
    if (this.ended !== undefined) return;
    this.settle("aborted");
    resetStream(this.raw.stream, constants.NGHTTP2_INTERNAL_ERROR);
  }

  #unusable(): boolean {
    return this.ended !== undefined || this.raw.stream.destroyed || this.raw.stream.closed;
  }

  #countAll(): void {
    if (this.#countsAll) return;
    this.#countsAll = true;
    const { stream } = this.raw;
    const write = stream.write.bind(stream) as (chunk: Buffer | string, ...rest: unknown[]) => boolean;
    stream.write = ((chunk: Buffer | string, ...rest: unknown[]) => {
      const [encoding] = rest;
      this.#written += Buffer.byteLength(
        chunk,
        typeof encoding === "string" ? (encoding as BufferEncoding) : undefined,
      );
      return write(chunk, ...rest);
    }) as typeof stream.write;
  }

  #respondWithHeadOnly(headers: OutgoingHttpHeaders): void {
    const { stream } = this.raw;
    this.#state = "ending";
    stream.respond(headers, { endStream: true });
    setImmediate(() => this.#sent());
    if (!this.bodyless && !stream.readableEnded) this.#dropRequest();
  }

  #sendTrailers(): void {
    const { stream } = this.raw;
    if (stream.destroyed || stream.closed) return;
    try {
      stream.sendTrailers(toHttp2Fields(this.#trailers));
    } catch {
      // A field that node refuses: without its trailers the answer is not complete.
      return this.abort();
    }
    // Node sends them in the next immediate, and a reset before that would overtake them.
    setImmediate(() => this.#sent());
  }

  /** Our side of the stream is with the connection. */
  #sent(): void {
    if (this.#state === "sent" || this.ended !== undefined) return;
    this.#state = "sent";
    this.settle("completed");
    if (this.#drain === undefined) this.owner?.exchangeReleased(this);
    else this.#drain.answerSent();
  }

  /** Also called for answers that were not written through us, but through node's compatibility objects. */
  #finished(): void {
    const { stream } = this.raw;
    if (this.#state !== "open" || !stream.headersSent || stream.closed) return;
    if (!this.bodyless && !stream.readableEnded && stream.readableFlowing !== true) this.#dropRequest();
    this.#drain?.answerSent();
  }

  #closed(): void {
    const { stream } = this.raw;
    this.#drain?.cancel();
    this.#resetWaits?.cancel();
    const whole = stream.headersSent && !stream.aborted && stream.rstCode === 0;
    // An answer of only a head, or one written through node's compatibility objects, can be closed before we say so.
    const complete = whole && !this.#trailersFollow && (this.#state === "ending" || stream.writableFinished);
    this.settle(complete ? "completed" : "caller-gone");
  }

  #dropRequest(): void {
    if (this.#drain !== undefined) return;
    const { maxBytes, timeoutMs } = this.drainLimits;
    const isShort = inMessages.test(this.head.header("content-type") ?? "");
    const limits = isShort ? { maxBytes, timeoutMs: Math.min(timeoutMs, messagesTimeoutMs) } : this.drainLimits;
    this.#drain = new RequestDrain(this.raw.stream, limits, this.clock, (exceeded) => {
      if (exceeded) this.#resetWhenSent(this.clock.monotonic() + timeoutMs);
      if (this.ended?.kind === "completed") this.owner?.exchangeReleased(this);
    });
  }

  /** Says that the answer is complete and the rest of the request is not wanted (RFC 9113, 8.1). */
  #resetWhenSent(deadlineAt: number): void {
    const { stream } = this.raw;
    if (stream.destroyed || stream.session === undefined || stream.session.destroyed) return;
    // A reset takes the stream's other frames off the queue of the session: the end of this very answer may be among them.
    const { outboundQueueSize = 0 } = stream.session.state;
    if (outboundQueueSize === 0 || this.clock.monotonic() >= deadlineAt) {
      return resetStream(stream, constants.NGHTTP2_NO_ERROR);
    }
    this.#resetWaits = this.clock.after(messagesTimeoutMs, () => this.#resetWhenSent(deadlineAt));
  }

  #continueOnRead(): void {
    const { stream } = this.raw;
    const read = stream._read;
    stream._read = (size: number): void => {
      stream._read = read;
      if (!stream.headersSent && !this.#unusable()) stream.additionalHeaders({ ":status": 100 });
      stream._read(size);
    };
  }
}

function toHttp2Fields(fields: FieldList, status?: number): OutgoingHttpHeaders {
  const headers = toFieldObject(fields) as OutgoingHttpHeaders;
  for (const name of forbidden) if (name in headers) delete headers[name];
  if (headers.te !== undefined && headers.te !== "trailers") delete headers.te;
  if (status !== undefined) headers[":status"] = status;
  return headers;
}

/** Where the body of an answer that has none goes. */
function sink(): Writable {
  return new Writable({
    write(_chunk, _encoding, done) {
      done();
    },
  });
}
