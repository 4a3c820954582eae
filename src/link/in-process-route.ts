import type { DescMethod } from "@bufbuild/protobuf";
import type { FieldList } from "../http/exchange.js";
import type { InFlight } from "../internal/in-flight.js";
import type { InProcessMethod } from "../model/in-process-services.js";
import type { LinkStream, LinkStreamHandler } from "./link-stream.js";

/** Why the host ends a call, by the name of a Connect code. */
export interface InProcessFailure {
  readonly code: string;
  /** For people. */
  readonly reason: string;
  /** Undefined if trying again does not help. */
  readonly retryAfterMs: number | undefined;
  /** The runtime id of the caller, if the call was certainly passed to no provider; see `notSentField`. */
  readonly notSentFor?: string;
  /** The runtime id of the provider that was chosen, for a caller that wants to know; see `providerField`. */
  readonly toldProvider?: string;
  /** The host's own code, where the Connect code alone does not tell. */
  readonly errorCode?: string;
}

/** The open calls of one caller, each of which is aborted when the caller has ended. */
export type OpenCalls = Pick<InFlight, "enter" | "leave">;

/** A call that wants to go straight to a provider in the host's process. */
export interface InProcessRequest {
  readonly method: DescMethod;
  /** What the caller gives the call, in milliseconds; undefined without a deadline. */
  readonly timeoutMs: number | undefined;
  /** The caller's fields, as they would stand in an HTTP request. Called if somebody looks at them, at most once. */
  headerFields(): FieldList;
  /** The caller's field `avoidField`; undefined if it gives none. */
  avoided(): string | undefined;
  /** Bytes that the message which passes now would have on a wire. Asked only where the host limits them. */
  messageBytes(): number;
  /** The host ends the call. Nothing is to be told of it to the host any more. */
  ended(failure: InProcessFailure): void;
  /** The call was not refused: from now on it is one of these while it is open. Called by what ends them, at most once. */
  belongsTo(calls: OpenCalls): void;
}

/** A call that the host lets pass, until one of the last four is called. */
export interface AdmittedCall {
  readonly kind: "admitted";
  readonly target: InProcessMethod;
  /** The runtime id of the provider, if the caller wants to know it. */
  readonly provider: string | undefined;
  /** The fields that the provider gets, made now: the caller's, and what the host says of the caller. */
  requestFields(): FieldList;
  /** The request is complete, so that the provider's time to answer begins. Unary calls and server streams begin so. */
  requestEnded(): void;
  /** A message has passed. False if the request is too long now: the call has ended. */
  passed(direction: "request" | "answer"): boolean;
  /** The provider has said something. */
  answered(): void;
  /** The provider's answer is complete; `code` is `ok`, or a Connect code, and `httpStatus` what it would be over HTTP. */
  completed(code: string, httpStatus: number): void;
  /** The caller does not want the answer any more. */
  callerGone(): void;
  /** The caller's deadline is over. */
  expired(): void;
}

/** The caller's side of a call that goes to a provider's link. */
export interface LinkedCaller extends LinkStreamHandler {
  /** Called once, before anything comes. */
  opened(stream: LinkStream): void;
}

/** A call that the host lets pass to a provider's link. One of its methods is to be called, once. */
export interface LinkedInProcessCall {
  readonly kind: "linked";
  /**
   * Begins the call, which goes on as one on a link from then on. The caller keeps its deadline itself.
   *
   * @param fields what the caller gives the call to send
   * @param message the only one of a unary call; other calls send theirs later
   */
  start(fields: FieldList, caller: LinkedCaller, message?: Uint8Array): LinkStream;
  /** The call will not be made. */
  release(): void;
}

/** What becomes of a call at once, or after it has waited. */
export type DecidedCall =
  | AdmittedCall
  | LinkedInProcessCall
  | { readonly kind: "refused"; readonly failure: InProcessFailure }
  /**
   * The provider is reached over a connection other than a link. The request is to be sent to `path` with the field `ticketField`, which
   * holds the decision; `release` is to be called when it was answered, or will not be sent.
   */
  | {
      readonly kind: "detour";
      readonly ticket: string;
      /** The runtime id of the provider, if the caller wants to know it. */
      readonly provider: string | undefined;
      release(): void;
    };

/** A call that waits until a provider has room. */
export interface WaitingInProcessCall {
  readonly kind: "waiting";
  readonly decided: Promise<DecidedCall>;
  /** The caller does not wait any longer. The promise stays pending. */
  leave(why: "caller-gone" | "expired"): void;
}

/** The way of one caller to one service, with the host's decision on each call. */
export interface InProcessRoute {
  open(request: InProcessRequest): DecidedCall | WaitingInProcessCall;
}

/** Carries {@link DecidedCall}'s ticket in a request over a connection in memory. */
export const ticketField = "x-plugin-ticket";

/** What a plugin shows to the host. */
export interface InProcessCredential {
  readonly runtimeId: string;
  /** A secret. */
  readonly token: string;
}

/** The host, as a module's SDK calls other plugins through it without a connection. */
export interface InProcessHost {
  /**
   * The way to any provider of a type. The credential is checked at each call, as one that comes with a request.
   *
   * @param serviceType as in a path; a name that is not allowed is refused at each call
   */
  route(credential: InProcessCredential, serviceType: string): InProcessRoute;
}
