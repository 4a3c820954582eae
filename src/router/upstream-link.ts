import type { FieldList } from "../http/exchange.js";
import { callKind, type ResetCode, resetCode } from "../link/frame.js";
import { okEnd } from "../link/head-codec.js";
import type { LinkSession } from "../link/link-session.js";
import type { LinkEnd, LinkStream, LinkStreamHandler } from "../link/link-stream.js";
import { isInvalid } from "./link-end.js";
import type { Upstream, UpstreamCall, UpstreamEvents, UpstreamFailure, UpstreamRequest } from "./upstream.js";

const failureOfReset: Readonly<Record<ResetCode, UpstreamFailure["kind"]>> = {
  [resetCode.cancelled]: "broken",
  [resetCode.refused]: "refused",
  [resetCode.deadline]: "broken",
  [resetCode.unavailable]: "broken",
  [resetCode.tooLarge]: "too-large",
  [resetCode.internal]: "bad-answer",
  [resetCode.protocol]: "bad-answer",
};

// There is one plugin at the other end, whatever it is called; `X-Forwarded-Host` has what the caller said.
const pseudo = (method: string): FieldList => [":method", method, ":authority", "localhost"];

const noBody = (method: string, status: number): boolean =>
  method === "HEAD" || status === 204 || status === 205 || status === 304;

/** Calls a plugin over its link. */
export class LinkUpstream implements Pick<Upstream, "start"> {
  constructor(readonly session: LinkSession) {}

  start(request: UpstreamRequest, events: UpstreamEvents): UpstreamCall {
    const call = new LinkCall(request, events);
    call.begin(this.session);
    return call;
  }
}

/** One HTTP exchange with a plugin, over its link. */
class LinkCall implements UpstreamCall, LinkStreamHandler {
  readonly pieces = true;
  readonly #request: UpstreamRequest;
  readonly #events: UpstreamEvents;
  #stream: LinkStream | undefined;
  /** The head of an answer that has come to its end with it, and may have no body. */
  #status = 0;
  #fields: FieldList | undefined;
  #told = false;
  #bodyless = false;
  #ended = false;
  #over = false;
  #paused = false;
  #left: number;

  constructor(request: UpstreamRequest, events: UpstreamEvents) {
    this.#request = request;
    this.#events = events;
    this.#left = request.length ?? 0;
  }

  /** Sends the call's head. */
  begin(session: LinkSession): void {
    const { method, path, fields, hasBody } = this.#request;
    const head = { kind: callKind.http, path, deadlineMs: 0, fields: [...pseudo(method), ...fields] };
    try {
      this.#stream = session.open(head, this);
    } catch (error) {
      // Nothing is wrong with the call while the link ends, or has as many calls as may wait.
      const kind = isInvalid(error) ? "invalid" : "refused";
      const { message } = error as Error;
      process.nextTick(() => this.#fail({ kind, message }));
      return;
    }
    if (hasBody) this.#events.ready(this);
    else this.#stream.end();
  }

  write(chunk: Buffer): boolean {
    const stream = this.#stream;
    if (stream === undefined || this.#over || chunk.length === 0) return true;
    if (this.#request.length !== undefined) {
      this.#left -= chunk.length;
      if (this.#left < 0) {
        this.#abort("the body is longer than its Content-Length");
        return true;
      }
    }
    return stream.send(chunk, false);
  }

  end(trailers: FieldList): void {
    if (this.#over) return;
    if (this.#request.length !== undefined && this.#left > 0) {
      return this.#abort("the body is shorter than its Content-Length");
    }
    this.#ended = true;
    this.#stream?.end(trailers.length === 0 ? okEnd : { ...okEnd, trailers });
  }

  get sent(): boolean {
    return !this.#request.hasBody || (this.#ended && (this.#stream?.queuedBytes ?? 0) === 0);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#stream?.consume();
  }

  cancel(late = false): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream?.reset(late ? resetCode.deadline : resetCode.cancelled);
  }

  // From the link.

  onHead(fields: FieldList, informational: boolean): void {
    if (this.#over) return;
    const status = fields[0] === ":status" && /^[1-9]\d\d$/.test(fields[1] ?? "") ? Number(fields[1]) : 0;
    if (status === 0 || status < 200 !== informational) {
      return this.#bad("the answer has no status");
    }
    const rest = fields.slice(2);
    if (informational) return this.#events.informational(status, rest);
    this.#status = status;
    this.#fields = rest;
    this.#bodyless = noBody(this.#request.method, status);
    // With the end in the same frame it is only known then whether there is a body at all.
    if (this.#stream?.peerEnd === undefined || this.#bodyless) this.#tell(this.#bodyless);
  }

  onData(bytes: Uint8Array): void {
    if (this.#over) return;
    if (this.#fields === undefined) return this.#bad("the answer has no head");
    this.#tell(false);
    if (!this.#bodyless) this.#events.data(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    if (!this.#paused) this.#stream?.consume();
  }

  onEnd({ trailers }: LinkEnd): void {
    if (this.#over) return;
    if (this.#fields === undefined) return this.#bad("the answer has no head");
    this.#tell(trailers.length === 0);
    this.#over = true;
    this.#events.ended(trailers);
  }

  onReset(code: ResetCode, message: string): void {
    this.#fail({ kind: failureOfReset[code], message: message || "the call was given up" });
  }

  onDrain(): void {
    if (!this.#over) this.#events.drained();
  }

  #tell(endOfAnswer: boolean): void {
    if (this.#told) return;
    this.#told = true;
    this.#events.answered(this.#status, this.#fields as FieldList, endOfAnswer);
  }

  #bad(message: string): void {
    this.#stream?.reset(resetCode.protocol, message);
    this.#fail({ kind: "bad-answer", message });
  }

  #abort(message: string): void {
    this.#stream?.reset(resetCode.cancelled, message);
    this.#fail({ kind: "invalid", message });
  }

  #fail(failure: UpstreamFailure): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.broken(failure);
  }
}
