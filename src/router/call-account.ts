import type { FieldList, RequestHead } from "../http/exchange.js";
import { fieldValue } from "../http/field-list.js";
import type { CallEvent, CallProtocol } from "../model/call-event.js";
import type { PluginRecord, RuntimeId } from "../model/catalog.js";
import type { Principal } from "../model/principal.js";
import { readAvoided } from "./avoided.js";
import { codeOfGrpcStatus, codeOfHttpStatus } from "./connect-code.js";
import type { Caller } from "./decide.js";
import type { EnvelopeTracker } from "./envelope-tracker.js";
import type { BadPath } from "./path.js";
import type { CallFailure } from "./protocol-error.js";

const anonymous: Principal = Object.freeze({ kind: "anonymous" });

/** Collects what is known of one call until it is over. */
export class CallAccount {
  provider: PluginRecord | undefined;
  serviceType = "";
  method = "";
  status = 0;
  code = "ok";
  outcome: CallEvent["outcome"] = "completed";
  reason = "";
  requestBytes = 0;
  responseBytes = 0;
  traceparent: string | undefined;
  /** Whom the caller avoids. Undefined if it has not said, and so does not want to know who was asked either. */
  avoided: ReadonlySet<RuntimeId> | undefined;
  readonly #startedAt: number;
  readonly #startedMonotonic: number;

  constructor(
    readonly head: RequestHead,
    readonly caller: Caller,
    readonly protocol: CallProtocol,
    readonly now: { now(): number; monotonic(): number },
  ) {
    this.#startedAt = now.now();
    this.#startedMonotonic = now.monotonic();
  }

  /** Milliseconds since the call arrived. */
  elapsedMs(): number {
    return this.now.monotonic() - this.#startedMonotonic;
  }

  failed(failure: CallFailure, outcome: CallEvent["outcome"]): void {
    this.outcome = outcome;
    this.code = failure.code;
    this.reason = failure.reason;
  }

  /** The same failure, of a call that no provider has seen. */
  notSent(failure: CallFailure): CallFailure {
    const { caller, head } = this;
    // Whoever is not accepted is told by the name that it gave.
    const id = "refused" in caller ? head.header("x-plugin-runtime-id") : undefined;
    const notSentFor = "kind" in caller && caller.kind === "plugin" ? caller.runtimeId : id;
    return notSentFor === undefined ? failure : { ...failure, notSentFor };
  }

  /**
   * Takes note of the caller's field `X-Plugin-Avoid`; undefined if it has sent none, or may not.
   *
   * @returns what is wrong with it; it stands for the call's target then
   */
  avoid(value: string | undefined): BadPath | undefined {
    if (value === undefined) return undefined;
    const avoided = readAvoided(value);
    if ("kind" in avoided) return avoided;
    this.avoided = avoided;
    return undefined;
  }

  /** The runtime id of who was asked, if the caller wants to know. */
  get toldProvider(): RuntimeId | undefined {
    return this.avoided === undefined ? undefined : this.provider?.runtimeId;
  }

  /** The same failure, with who was asked if the caller wants to know. */
  withProvider(failure: CallFailure): CallFailure {
    const { toldProvider } = this;
    return toldProvider === undefined ? failure : { ...failure, toldProvider };
  }

  /** Reads the result from an answer that came to its end, as far as it can be seen from outside. */
  completed(status: number, fields: FieldList, trailers: FieldList, tracker: EnvelopeTracker | undefined): void {
    this.code = resultCode(this.protocol, status, fields, trailers, tracker);
  }

  event(): CallEvent {
    const { provider, caller } = this;
    return {
      caller: "refused" in caller ? anonymous : caller,
      provider: provider === undefined ? undefined : { runtimeId: provider.runtimeId, selfId: provider.selfId },
      serviceType: this.serviceType,
      method: this.method,
      protocol: this.protocol,
      httpVersion: this.head.httpVersion,
      status: this.status,
      code: this.code,
      outcome: this.outcome,
      reason: this.reason,
      requestBytes: this.requestBytes,
      responseBytes: this.responseBytes,
      durationMs: this.elapsedMs(),
      startedAt: this.#startedAt,
      traceparent: this.traceparent,
    };
  }
}

function resultCode(
  protocol: CallProtocol,
  status: number,
  fields: FieldList,
  trailers: FieldList,
  tracker: EnvelopeTracker | undefined,
): string {
  if (status !== 200) return codeOfHttpStatus(status);
  switch (protocol) {
    case "grpc": {
      const grpcStatus = fieldValue(trailers, "grpc-status") ?? fieldValue(fields, "grpc-status");
      return grpcStatus === undefined ? "unknown" : codeOfGrpcStatus(grpcStatus);
    }
    case "grpc-web": {
      const inHead = fieldValue(fields, "grpc-status");
      if (inHead !== undefined) return codeOfGrpcStatus(inHead);
      const inBody = /(?:^|\n)grpc-status:\s*(\d+)/i.exec(tracker?.endMessage ?? "");
      return inBody === null ? "ok" : codeOfGrpcStatus(inBody[1] as string);
    }
    case "connect-stream": {
      const error = /"error"\s*:\s*\{[^}]*?"code"\s*:\s*"([a-z_]+)"/.exec(tracker?.endMessage ?? "");
      return error === null ? "ok" : (error[1] as string);
    }
    default:
      return "ok";
  }
}
