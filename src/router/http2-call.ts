import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import type { FieldList } from "../http/exchange.js";
import { toFieldList, toFieldObject } from "../http/field-list.js";
import { watchPeerEnd } from "../http/peer-end.js";
import { resetStream } from "../http/reset-stream.js";
import { cancelCode, type UpstreamSession } from "./http2-session.js";
import { maxInformational } from "./response-headers.js";
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
  readonly options: { readonly maxHeaderBytes: number };
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
  #isCutOff: (() => boolean) | undefined;
  #informational = 0;
  /** What had left of the session before this call did. */
  #writtenBefore = Number.NaN;
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
    this.#writtenBefore = session.written;
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
    this.#isCutOff = watchPeerEnd(stream);
    session.enter();
    stream.on("headers", (_h: unknown, _flags: unknown, raw: readonly string[]) => this.#onInformation(raw));
    stream.on("response", ((_h: IncomingHttpHeaders, flags: number, raw: readonly string[]) =>
      this.#onResponse(flags, raw)) as never);
    stream.on("trailers", ((_h: unknown, _flags: number, raw: readonly string[]) => {
      this.#trailers = raw;
      this.#complete = true;
      this.#check(raw);
    }) as never);
    // Never sent, and given up by node:http2. Mostly because the session has failed, without a word.
    stream.on("frameError", () => session.doubt());
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
    // Nobody can be slow to read them: all that come have to be kept for a caller that is.
    if (++this.#informational > maxInformational) {
      this.#refuse(`the provider sent ${status} where that is not possible`);
      return;
    }
    if (!this.#check(raw)) return;
    if (status !== 100) this.events.informational(status, toFieldList(raw));
  }

  #onResponse(flags: number, raw: readonly string[]): void {
    if (this.#over || !this.#check(raw)) return;
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
    // A stream that was reset ends for its reader too, as if nothing had happened.
    const wasReset = (this.#stream?.rstCode ?? 0) !== 0 || this.#isCutOff?.() === true;
    if (!this.#answered || (!this.#complete && wasReset)) {
      this.#break("the stream was reset before the answer was complete");
      return;
    }
    this.#over = true;
    this.events.ended(this.#trailers);
  }

  /** Whether a head, or trailers, are as short as they have to be. The call is over otherwise. */
  #check(raw: readonly string[]): boolean {
    const { maxHeaderBytes } = this.upstream.options;
    if (this.#over || headBytes(raw) <= maxHeaderBytes) return !this.#over;
    this.#refuse(`a head or trailers of the answer are longer than ${maxHeaderBytes} bytes`);
    return false;
  }

  /** The provider answers, with something that is no answer. */
  #refuse(message: string): void {
    this.#over = true;
    this.#reset();
    this.events.broken({ kind: "bad-answer", message });
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
    const unseen =
      rstCode === constants.NGHTTP2_REFUSED_STREAM ||
      (id ?? 0) > (this.#session?.lastStreamId ?? 0) ||
      this.#writtenBefore === this.#session?.written;
    this.#over = true;
    this.#reset();
    const kind = unseen && !this.#answered ? "refused" : "broken";
    this.events.broken({ kind, message: rstCode === 0 ? message : `${message} (HTTP/2 error code ${rstCode})` });
  }
}

function ignore(): void {}

/** What a head would take in HTTP/1.1: each name and value, with a colon, a space and the line's end. */
function headBytes(raw: readonly string[]): number {
  let bytes = 2 * raw.length;
  for (const text of raw) bytes += text.length;
  return bytes;
}

function statusOf(raw: readonly string[]): number {
  for (let i = 0; i < raw.length; i += 2) if (raw[i] === ":status") return Number(raw[i + 1]);
  return 0;
}
