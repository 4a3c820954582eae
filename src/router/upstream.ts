import type { Readable, Writable } from "node:stream";
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
  readonly hasLength: boolean;
  /** Whether the body waits until the provider has asked for it by 100. */
  readonly expectsContinue: boolean;
}

/** Why a call to a provider ended before its answer was complete. */
export interface UpstreamFailure {
  /**
   * `unreachable`: no connection came about, so the provider has seen nothing. `refused`: the provider said that it has
   * not looked at this call. Both are safe to try again. `timeout`: no connection in time. `broken`: anything may
   * have happened. `invalid`: the request cannot be written on such a connection.
   */
  readonly kind: "unreachable" | "refused" | "timeout" | "broken" | "invalid";
  /** For people. */
  readonly message: string;
}

/** Gets what happens to one call, in this order. Nothing comes after `ended` or `broken`, or once the call is cancelled. */
export interface UpstreamEvents {
  /** The connection stands: the body may be written from now on. Not called for requests without one. */
  ready(call: UpstreamCall): void;
  informational(status: number, fields: FieldList): void;
  /** The answer's head. With `endOfAnswer` no body follows. */
  answered(call: UpstreamCall, status: number, fields: FieldList, endOfAnswer: boolean): void;
  /** The answer is complete. Comes after the last byte of `answerBody` was handed out. */
  ended(trailers: FieldList): void;
  broken(failure: UpstreamFailure): void;
}

/** One call on its way to a provider. */
export interface UpstreamCall {
  /** Where the request's body is written, from `ready` on. */
  readonly requestBody: Writable;
  /** Ends the request. */
  endRequest(trailers: FieldList): void;
  /** The answer's body, from `answered` on; whoever got it reads it. */
  readonly answerBody: Readable;
  /** Gives up: the provider sees a reset. Also to be called when the answer ended before the request did. Idempotent. */
  cancel(): void;
}

/** Calls one provider in one protocol. */
export interface Upstream {
  /** Begins a call. Events come later, never from within. */
  start(request: UpstreamRequest, events: UpstreamEvents): UpstreamCall;
  /** Closes idle connections now and the others when their calls are over. */
  close(): void;
}
