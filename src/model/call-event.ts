import type { Principal } from "./principal.js";

/** The protocol that a caller speaks, found in the request's head. */
export type CallProtocol = "connect-unary" | "connect-get" | "connect-stream" | "grpc" | "grpc-web" | "http";

/** The account of one routed call, emitted once when the call is over. */
export interface CallEvent {
  readonly caller: Principal;
  /** Undefined if the call was refused before a provider was known. */
  readonly provider: { readonly runtimeId: string; readonly selfId: string } | undefined;
  /** Empty if the path named none. */
  readonly serviceType: string;
  /** The path on the provider, without query; empty if the call was refused before it was known. */
  readonly method: string;
  /**
   * `in-process` for a call of a plugin in the host's process, or of the host, that went straight to a plugin there or to a plugin's link;
   * `link` for one that came over a link.
   */
  readonly protocol: CallProtocol | "in-process" | "link";
  /** `none` with `in-process` and `link`. */
  readonly httpVersion: "1.0" | "1.1" | "2" | "none";
  /** HTTP status that the caller got; 0 if it got none. With `in-process` what it would be over HTTP. */
  readonly status: number;
  /** `ok`, or a Connect code such as `unavailable`, as far as the host can see it. */
  readonly code: string;
  /** Who ended the call. */
  readonly outcome: "completed" | "refused" | "provider-failed" | "caller-gone" | "aborted";
  /** Why a call was refused or failed; empty otherwise. */
  readonly reason: string;
  /** Bytes of the request's body. 0 to a plugin in the host's process, where nothing is written, unless the body's size is limited. */
  readonly requestBytes: number;
  /** Bytes of the answer's body. 0 from a plugin in the host's process, where nothing is written. */
  readonly responseBytes: number;
  readonly durationMs: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** W3C trace context of the call towards the provider. */
  readonly traceparent: string | undefined;
}
