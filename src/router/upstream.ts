import type { FieldList } from "../http/exchange.js";

/** One request towards a provider. */
export interface UpstreamRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Without `Host` and framing, which the connection adds. Names are lower-case. */
  readonly fields: FieldList;
  /** Whether a body follows. */
  readonly hasBody: boolean;
  /** The body's length if it was announced; it is among the fields then. */
  readonly length: number | undefined;
  /** Whether the body waits until the provider has asked for it by 100. */
  readonly expectsContinue: boolean;
}

/** Why a call to a provider ended before its answer was complete. */
export interface UpstreamFailure {
  /**
   * `unreachable`: no connection came about, so the provider has seen nothing. `refused`: the provider said that it has
   * not looked at this call. Both are safe to try again. `speaks-http2`: an HTTP/1.1 call met a provider that only speaks
   * HTTP/2, and has not understood any of it. `untrusted`: no TLS connection, for a reason that does not pass by itself,
   * such as a certificate that is not accepted; the provider has seen nothing. `timeout`: no connection in time. `broken`: anything may
   * have happened. `bad-answer`: the provider answered, with something that is no answer. `too-large`: the provider
   * has answered, with more than it may send on such a connection. `invalid`: the request cannot be written on such a connection.
   */
  readonly kind:
    | "unreachable"
    | "refused"
    | "speaks-http2"
    | "untrusted"
    | "timeout"
    | "broken"
    | "bad-answer"
    | "too-large"
    | "invalid";
  /** For people. */
  readonly message: string;
}

/** Gets what happens to one call, in this order. Nothing comes after `ended` or `broken`, or once the call is cancelled. */
export interface UpstreamEvents {
  /**
   * The connection stands: the body may be written from now on. Not called for requests without one. May come from within
   * `start`; all the others come later.
   */
  ready(call: UpstreamCall): void;
  /** There is room again after `write` returned false. */
  drained(): void;
  informational(status: number, fields: FieldList): void;
  /** The answer's head. With `endOfAnswer` no body follows. */
  answered(status: number, fields: FieldList, endOfAnswer: boolean): void;
  /** The next bytes of the answer's body. A few may still come after `pause`. */
  data(chunk: Buffer): void;
  /** The answer is complete. */
  ended(trailers: FieldList): void;
  broken(failure: UpstreamFailure): void;
}

/** One call on its way to a provider. */
export interface UpstreamCall {
  /**
   * Writes the next bytes of the request's body, from `ready` on. False asks to wait for `drained`.
   *
   * @param isSpent nobody else will look at `chunk`: its memory may be given back when it has left. @default false
   */
  write(chunk: Buffer, isSpent?: boolean): boolean;
  /** Ends the request. Not for requests without a body. */
  end(trailers: FieldList): void;
  /** Whether the whole request has left. */
  readonly sent: boolean;
  /** Stops the answer's body, and lets the provider feel it. */
  pause(): void;
  resume(): void;
  /**
   * Gives up: the provider sees a reset. Also to be called when the answer ended before the request did. Idempotent.
   *
   * @param late because nothing came in time: the connection may lead nowhere any more
   */
  cancel(late?: boolean): void;
}

/** Calls one provider in one protocol. */
export interface Upstream {
  start(request: UpstreamRequest, events: UpstreamEvents): UpstreamCall;
  /** Closes idle connections now and the others when their calls are over. */
  close(): void;
}
