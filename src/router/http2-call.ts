import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import type { FieldList } from "../http/exchange.js";
import { toFieldList, toFieldObject } from "../http/field-list.js";
import { resetStream } from "../http/reset-stream.js";
import { cancelCode, type UpstreamSession } from "./http2-session.js";
import { withoutRepeats } from "./single-value-fields.js";
import type { TargetAddress } from "./target-address.js";
import type { UpstreamCall, UpstreamEvents, UpstreamFailure, UpstreamRequest } from "./upstream.js";

/** Fields in the form that node:http2 takes. */
function headerObject(fields: FieldList): Record<string, string | string[]> {
  return toFieldObject(withoutRepeats(fields));
}

/** What a call needs of those who keep the sessions. */
export interface Http2CallOwner {
  readonly target: TargetAddress;
  /** Puts a call on a session that has room, or lets it wait for one. */
  place(call: Http2Call): void;
  /** A call waits no longer. */
  forget(call: Http2Call): void;
  /** A session may have room again. */
  placeWaiting(): void;
}

/** One call over HTTP/2, before and while it has a stream. */
export class Http2Call implements UpstreamCall {
  #session: UpstreamSession | undefined;
  #stream: ClientHttp2Stream | undefined;
  #over = false;
  #wasReset = false;
  #answered = false;
  /** Whether trailers have come, which nothing can follow but a reset of what is left of the request. */
  #complete = false;
  #requestTrailers: FieldList = [];
  #trailers: FieldList = [];

  constructor(
    readonly upstream: Http2CallOwner,
    readonly request: UpstreamRequest,
    readonly events: UpstreamEvents,
  ) {}

  get over(): boolean {
    return this.#over;
  }

  write(chunk: Buffer): boolean {
    // Without a stream the call is over, and nobody waits for room.
    return this.#stream?.write(chunk) ?? true;
  }

  get sent(): boolean {
    return !this.request.hasBody || this.#stream?.writableFinished === true;
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  begin(session: UpstreamSession): void {
    const { request } = this;
    const { target } = this.upstream;
    const headers = headerObject(request.fields);
    headers[":method"] = request.method;
    headers[":path"] = request.path;
    headers[":scheme"] = target.secure ? "https" : "http";
    headers[":authority"] = target.authority;
    let stream: ClientHttp2Stream;
    try {
      stream = session.node.request(headers, {
        endStream: !request.hasBody,
        // Also where no trailers can come: `close` ends a stream before it resets it, and without this the provider would
        // see that end first and take a request that was cut off for a complete one.
        waitForTrailers: request.hasBody,
      });
    } catch (error) {
      if (session.node.destroyed || session.node.closed) {
        session.retire();
        this.upstream.place(this);
      } else this.fail({ kind: "invalid", message: (error as Error).message });
      return;
    }
    this.#session = session;
    this.#stream = stream;
    session.enter();
    stream.on("headers", (_h: unknown, _flags: unknown, raw: readonly string[]) => this.#onInformation(raw));
    stream.on("response", ((_h: IncomingHttpHeaders, flags: number, raw: readonly string[]) =>
      this.#onResponse(flags, raw)) as never);
    stream.on("trailers", ((_h: unknown, _flags: number, raw: readonly string[]) => {
      this.#trailers = raw;
      this.#complete = true;
    }) as never);
    stream.on("end", () => this.#onEnd());
    stream.on("error", (error) => this.#break(error.message));
    stream.on("close", () => this.#onClose());
    if (!request.hasBody) return;
    stream.on("wantTrailers", () => this.#sendTrailers());
    stream.on("drain", () => this.#over || this.events.drained());
    this.events.ready(this);
  }

  end(trailers: FieldList): void {
    if (this.#over) return;
    this.#requestTrailers = trailers;
    this.#stream?.end();
  }

  cancel(late = false): void {
    this.#over = true;
    this.upstream.forget(this);
    this.#reset();
    if (late) this.#session?.doubt();
  }

  fail(failure: UpstreamFailure): void {
    if (this.#over) return;
    this.#over = true;
    this.events.broken(failure);
  }

  #reset(): void {
    const stream = this.#stream;
    if (stream === undefined || stream.destroyed) return;
    if (stream.closed) {
      // Closed by the provider. With something left to write node would wait for that for ever.
      if (!this.#wasReset) stream.destroy();
      return;
    }
    this.#wasReset = true;
    // What is still in the stream has to be read, or its share of the connection's window never comes back.
    stream.resume();
    resetStream(stream, cancelCode);
  }

  #sendTrailers(): void {
    const stream = this.#stream;
    if (stream === undefined || stream.destroyed || stream.closed) return;
    // Throws if the stream is destroyed meanwhile; its end is reported by "close".
    try {
      stream.sendTrailers(headerObject(this.#requestTrailers));
    } catch {
      this.#reset();
    }
  }

  #onInformation(raw: readonly string[]): void {
    if (this.#over) return;
    const status = statusOf(raw);
    if (status !== 100) this.events.informational(status, toFieldList(raw));
  }

  #onResponse(flags: number, raw: readonly string[]): void {
    if (this.#over) return;
    this.#answered = true;
    const endOfAnswer = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const stream = this.#stream as ClientHttp2Stream;
    // Before anybody is told, so that what has come of the body already is handed out before other work of the next tick: it
    // can leave in one piece with the head then.
    if (endOfAnswer) stream.resume();
    else stream.on("data", (chunk: Buffer) => this.#over || this.events.data(chunk));
    this.events.answered(statusOf(raw), toFieldList(raw), endOfAnswer);
  }

  #onEnd(): void {
    if (this.#over) return;
    // A stream that was reset ends for its reader too, as if nothing had happened; only the code tells.
    if (!this.#answered || (!this.#complete && (this.#stream?.rstCode ?? 0) !== 0)) {
      this.#break("the stream was reset before the answer was complete");
      return;
    }
    this.#over = true;
    this.events.ended(this.#trailers);
  }

  #onClose(): void {
    this.#session?.leave(this.#wasReset);
    this.upstream.placeWaiting();
    this.#break("the stream was closed before the answer was complete");
    // node keeps each stream that a client has opened until the next full collection of garbage. Nothing else of the call
    // may hang on it, or every small collection copies all that was ever called.
    this.#stream?.removeAllListeners().on("error", ignore);
  }

  #break(message: string): void {
    if (this.#over) return;
    const { rstCode = 0, id } = this.#stream ?? {};
    const unseen = rstCode === constants.NGHTTP2_REFUSED_STREAM || (id ?? 0) > (this.#session?.lastStreamId ?? 0);
    this.#over = true;
    this.#reset();
    const kind = unseen && !this.#answered ? "refused" : "broken";
    this.events.broken({ kind, message: rstCode === 0 ? message : `${message} (HTTP/2 error code ${rstCode})` });
  }
}

function ignore(): void {}

function statusOf(raw: readonly string[]): number {
  for (let i = 0; i < raw.length; i += 2) if (raw[i] === ":status") return Number(raw[i + 1]);
  return 0;
}
