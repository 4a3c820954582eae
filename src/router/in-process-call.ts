import type { FieldList, RequestHead } from "../http/exchange.js";
import { fieldValue } from "../http/field-list.js";
import type { InFlightEntry } from "../internal/in-flight.js";
import type { AdmittedCall, InProcessRequest } from "../link/in-process-route.js";
import type { CallEvent } from "../model/call-event.js";
import type { InProcessMethod } from "../model/in-process-services.js";
import type { CallAccount } from "./call-account.js";
import { bodyTooLong, type Forward } from "./decide.js";
import type { ForwardContext } from "./forward-context.js";
import { IdleWatch } from "./idle-watch.js";
import { type CallFailure, failureOf } from "./protocol-error.js";
import { requestFields } from "./request-headers.js";
import type { TimeoutEntry, TimeoutPlace } from "./timeout-queue.js";
import { continueTrace } from "./trace-context.js";

/** What all calls in the host's process share. */
export interface InProcessContext {
  readonly forward: ForwardContext;
  /** Whether anybody wants to know of calls. */
  readonly isHeard: () => boolean;
}

/** Where a call seems to come from: the same as over a connection in memory. */
const head: Omit<RequestHead, "fields" | "header"> = {
  method: "POST",
  target: "",
  authority: "host.invalid",
  httpVersion: "1.1",
  connection: { transport: "memory", remoteAddress: "", encrypted: false } as RequestHead["connection"],
};

/** The plugin's own list of calls, which it aborts when it stops without waiting for them. */
class OwnerEntry implements InFlightEntry {
  constructor(readonly call: InProcessCall) {}

  abort(reason: Error): void {
    this.call.broken(reason);
  }
}

/**
 * One call that goes straight to a provider in the host's process: what `ForwardedCall` is for calls over connections. It counts as
 * in flight, is ended by the host where that would end a routed call, and is accounted for once.
 */
export class InProcessCall implements AdmittedCall, InFlightEntry, TimeoutEntry {
  readonly kind = "admitted";
  timeoutPlace: TimeoutPlace | undefined = undefined;
  readonly #context: InProcessContext;
  readonly #request: InProcessRequest;
  readonly #account: CallAccount;
  readonly #decision: Forward;
  readonly #ownerEntry: OwnerEntry;
  readonly #isStream: boolean;
  #state: "calling" | "answering" | "over" = "calling";
  #messages = 0;
  #idle: IdleWatch | undefined;

  constructor(
    context: InProcessContext,
    request: InProcessRequest,
    account: CallAccount,
    decision: Forward,
    readonly target: InProcessMethod,
  ) {
    const { methodKind } = request.method;
    this.#context = context;
    this.#request = request;
    this.#account = account;
    this.#decision = decision;
    this.#ownerEntry = new OwnerEntry(this);
    this.#isStream = methodKind !== "unary";
    const { provider } = decision;
    account.provider = provider.plugin;
    account.method = decision.method;
    provider.inFlight.enter(this);
    target.owner.enter(this.#ownerEntry);
    if (methodKind === "unary" || methodKind === "server_streaming") this.requestEnded();
    if (this.#isStream) this.#watchIdle();
  }

  get provider(): string | undefined {
    return this.#account.toldProvider;
  }

  requestFields(): FieldList {
    const { forward } = this.#context;
    const fields = this.#request.headerFields();
    const { traceparent, continued } = continueTrace(fieldValue(fields, "traceparent"), forward.traceIds);
    this.#account.traceparent = traceparent;
    const hop = {
      caller: this.#decision.caller,
      serviceType: this.#decision.serviceType,
      protocol: this.#account.protocol,
      traceparent,
      traceContinued: continued,
      elapsedMs: this.#account.elapsedMs(),
      trailersPossible: false,
    };
    return requestFields({ ...head, fields, header: (name) => fieldValue(fields, name) }, hop, forward.options);
  }

  requestEnded(): void {
    if (this.#state === "calling") this.#context.forward.headTimeouts.add(this);
  }

  passed(direction: "request" | "answer"): boolean {
    if (this.#state === "over") return false;
    this.#messages += 1;
    const { maxBodyBytes } = this.#context.forward.options;
    if (direction === "answer" || maxBodyBytes === Number.POSITIVE_INFINITY) return true;
    this.#account.requestBytes += this.#request.messageBytes();
    if (this.#account.requestBytes <= maxBodyBytes) return true;
    this.#fail(failureOf("resource_exhausted", 413, bodyTooLong(maxBodyBytes)), "refused");
    return false;
  }

  answered(): void {
    if (this.#state !== "calling") return;
    this.#state = "answering";
    this.#context.forward.headTimeouts.delete(this);
    this.#context.forward.traffic.answered(this.#decision.provider.plugin.runtimeId);
  }

  completed(code: string, httpStatus: number): void {
    if (this.#state === "over") return;
    this.answered();
    this.#account.code = code;
    this.#account.status = this.#isStream ? 200 : httpStatus;
    this.#leave();
  }

  callerGone(): void {
    if (this.#state === "over") return;
    if (this.#state === "answering") this.#account.status = 200;
    this.#account.failed(failureOf("canceled", 499, "the caller went away"), "caller-gone");
    this.#leave();
  }

  expired(): void {
    if (this.#state === "over") return;
    const reason = `the caller's deadline of ${this.#request.timeoutMs} ms is over`;
    this.#account.failed(failureOf("deadline_exceeded", 504, reason), "aborted");
    this.#account.status = this.#isStream ? 200 : 504;
    this.#leave();
  }

  /** The host ends the call. */
  abort(reason: Error): void {
    this.#fail(this.#unavailable(reason.message, 503), "aborted");
  }

  /** The provider has answered nothing in its time. */
  onTimeout(): void {
    const { runtimeId } = this.#decision.provider.plugin;
    const { options, traffic } = this.#context.forward;
    const reason = `${runtimeId} did not answer within ${options.headersTimeoutMs} ms`;
    traffic.failed(runtimeId, reason);
    this.#fail(this.#unavailable(reason, 504), "provider-failed");
  }

  /** The provider ends the call without an answer. */
  broken(cause: Error): void {
    if (this.#state === "over") return;
    const { runtimeId } = this.#decision.provider.plugin;
    const { traffic } = this.#context.forward;
    const hasAnswered = this.#state === "answering";
    const reason = hasAnswered
      ? `${runtimeId} broke off its answer: ${cause.message}`
      : `${runtimeId} gave the call up before it answered: ${cause.message}`;
    if (hasAnswered) traffic.broke(runtimeId, reason);
    else traffic.failed(runtimeId, reason);
    this.#fail(this.#unavailable(reason, 502), "provider-failed");
  }

  #watchIdle(): void {
    const { idleStreams, options } = this.#context.forward;
    if (idleStreams === undefined) return;
    this.#idle = new IdleWatch(
      idleStreams,
      () => this.#messages,
      () => {
        const reason = `nothing moved in either direction for ${options.idleStreamMs} ms`;
        this.#fail(this.#unavailable(reason, 504), "aborted");
      },
    );
  }

  #unavailable(reason: string, httpStatus: number): CallFailure {
    return failureOf("unavailable", httpStatus, reason, this.#context.forward.options.retryAfterMs);
  }

  #fail(failure: CallFailure, outcome: CallEvent["outcome"]): void {
    if (this.#state === "over") return;
    this.#account.failed(failure, outcome);
    this.#account.status = this.#isStream ? 200 : failure.httpStatus;
    this.#leave();
    this.#request.ended(this.#account.withProvider(failure));
  }

  #leave(): void {
    this.#state = "over";
    this.#idle?.stop();
    this.#context.forward.headTimeouts.delete(this);
    this.target.owner.leave(this.#ownerEntry);
    this.#decision.provider.inFlight.leave(this);
    this.#tell();
  }

  #tell(): void {
    if (!this.#context.isHeard()) return;
    // Where no provider looked at its headers, the call has no trace yet.
    if (this.#account.traceparent === undefined) this.requestFields();
    tellOf(this.#context, this.#account);
  }
}

/** Tells of a call in the host's process that is over. */
export function tellOf({ forward, isHeard }: InProcessContext, account: CallAccount): void {
  if (!isHeard()) return;
  forward.onCall({ ...account.event(), protocol: "in-process", httpVersion: "none" });
}
