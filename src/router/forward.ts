import type { ExchangeEnd, FieldList, ServerExchange } from "../http/exchange.js";
import { fieldValue } from "../http/field-list.js";
import type { Timer } from "../internal/clock.js";
import type { InFlightEntry } from "../internal/in-flight.js";
import type { CallEvent, CallProtocol } from "../model/call-event.js";
import type { CallAccount } from "./call-account.js";
import { CallRetries } from "./call-retries.js";
import { callerDeadlineMs } from "./deadline.js";
import { bodyTooLong, type Decision, type Forward } from "./decide.js";
import { EnvelopeTracker } from "./envelope-tracker.js";
import type { ForwardContext } from "./forward-context.js";
import { passedTrailers } from "./hop-by-hop.js";
import type { RouteTarget } from "./path.js";
import { answersInEnvelopes } from "./protocol.js";
import { breakAnswer, type CallFailure, failureOf, sendError } from "./protocol-error.js";
import { Pump, type PumpWatcher } from "./pump.js";
import { viaEntry } from "./request-headers.js";
import { responseFields } from "./response-headers.js";
import type { TimeoutEntry } from "./timeout-queue.js";
import type { UpstreamCall, UpstreamEvents, UpstreamFailure } from "./upstream.js";
import { upstreamRequest } from "./upstream-request.js";

/**
 * Carries one call to a provider and its answer back. The provider's side of the call is `dialing` until a connection
 * stands, `calling` until the head of the answer comes, `answering` until its end, and `over` then; the caller's side
 * is the exchange.
 */
export class ForwardedCall implements InFlightEntry, UpstreamEvents, PumpWatcher, TimeoutEntry {
  #state: "dialing" | "calling" | "answering" | "over" = "dialing";
  #decision: Forward;
  #call: UpstreamCall | undefined;
  #requestPump: Pump | undefined;
  #requestSent: boolean;
  #answerPump: Pump | undefined;
  #answerStatus = 0;
  #answerFields: FieldList = [];
  #answerEnded = false;
  #tracker: EnvelopeTracker | undefined;
  #deadline: Timer | undefined;
  #redial: Timer | undefined;
  #retries: CallRetries | undefined;
  readonly #hasBody: boolean;

  constructor(
    readonly context: ForwardContext,
    readonly exchange: ServerExchange,
    readonly target: RouteTarget,
    readonly account: CallAccount,
    decision: Forward,
  ) {
    this.#decision = decision;
    this.#hasBody = !exchange.bodyless;
    this.#requestSent = !this.#hasBody;
  }

  get #protocol(): CallProtocol {
    return this.account.protocol;
  }

  /** Whether the call may need both directions at once, which most providers serve over HTTP/2 only. */
  get #wantsHttp2(): boolean {
    const { httpVersion, connection } = this.exchange.head;
    if (httpVersion === "2") return true;
    return connection.transport === "memory" && (this.#protocol === "connect-stream" || this.#protocol === "grpc");
  }

  begin(): void {
    this.#enter(this.#decision);
    this.exchange.onEnd((end) => this.#onExchangeEnd(end));
    if (this.exchange.ended !== undefined) return;
    const deadlineMs = callerDeadlineMs(this.#protocol, this.exchange.head);
    if (deadlineMs !== undefined) {
      this.#deadline = this.context.clock.after(deadlineMs, () => {
        this.#fail(failureOf("deadline_exceeded", 504, `the caller's deadline of ${deadlineMs} ms is over`), "aborted");
      });
    }
    this.#dial();
  }

  /** Ends the call on the host's behalf. */
  abort(reason: Error): void {
    this.#fail(failureOf("unavailable", 503, reason.message, this.context.options.retryAfterMs), "aborted");
  }

  onTimeout(): void {
    const { plugin } = this.#decision.provider;
    const reason = `${plugin.runtimeId} did not answer within ${this.context.options.headersTimeoutMs} ms`;
    this.#failProvider(reason, 504);
  }

  // Towards the provider.

  #enter(decision: Forward): void {
    const { plugin } = decision.provider;
    this.#decision = decision;
    this.account.provider = plugin;
    this.account.serviceType = decision.serviceType;
    this.account.method = decision.method;
    decision.provider.inFlight.enter(this);
  }

  #dial(): void {
    const { plugin } = this.#decision.provider;
    const pool = this.context.connections.poolOf(plugin);
    const isGrpc = this.#protocol === "grpc";
    const protocol = pool?.protocolFor(this.#wantsHttp2, isGrpc) ?? "none";
    if (pool === undefined || protocol === "none") {
      const reason = `${plugin.runtimeId} speaks HTTP/1.1 only, and gRPC needs HTTP/2`;
      this.#fail(failureOf("unimplemented", 501, reason), "refused");
    } else if (protocol === "probe") {
      pool.probe((failure) => {
        if (this.#state !== "dialing") return;
        if (failure === undefined) this.#dial();
        else this.broken(failure);
      });
    } else {
      if (!this.#hasBody) this.context.headTimeouts.add(this);
      this.#call = pool
        .upstream(protocol)
        .start(upstreamRequest(this.context, this.exchange, this.#decision, this.account, protocol), this);
    }
  }

  ready(call: UpstreamCall): void {
    if (this.#state !== "dialing") return;
    this.#state = "calling";
    const { body } = this.exchange;
    this.#requestPump = new Pump(body, call.requestBody, this);
    // An empty body may have come to its end while the connection was made.
    if (body.readableEnded) {
      this.#onRequestEnd(call);
      return;
    }
    body.on("end", () => this.#onRequestEnd(call));
    this.#requestPump.start();
  }

  #onRequestEnd(call: UpstreamCall): void {
    if (this.#state === "over" || this.#requestSent) return;
    this.#requestSent = true;
    this.#requestPump?.stop();
    call.endRequest(passedTrailers(this.exchange.requestTrailers()));
    if (this.#state === "calling") this.context.headTimeouts.add(this);
  }

  passing(pump: Pump, chunk: Buffer): boolean {
    if (pump === this.#answerPump) {
      this.#tracker?.push(chunk);
      return true;
    }
    const { maxBodyBytes } = this.context.options;
    if (pump.bytes + chunk.length <= maxBodyBytes) return true;
    this.#fail(failureOf("resource_exhausted", 413, bodyTooLong(maxBodyBytes)), "refused");
    return false;
  }

  blocked(pump: Pump, isBlocked: boolean): void {
    // A provider that neither answers nor reads gets no more time than one that has read all.
    if (pump !== this.#requestPump || this.#state !== "calling") return;
    if (isBlocked) this.context.headTimeouts.add(this);
    else this.context.headTimeouts.delete(this);
  }

  // From the provider.

  informational(status: number, fields: FieldList): void {
    if (status === 102 || status === 103) this.exchange.informational(status, responseFields(fields, undefined, false));
  }

  answered(call: UpstreamCall, status: number, fields: FieldList, endOfAnswer: boolean): void {
    if (this.#state === "over") return;
    this.#state = "answering";
    this.context.headTimeouts.delete(this);
    this.context.traffic.answered(this.#decision.provider.plugin.runtimeId);
    const hasLength = fieldValue(fields, "content-length") !== undefined;
    const via = viaEntry(this.exchange.head.httpVersion, this.context.options.viaName);
    this.#answerStatus = status;
    this.#answerFields = fields;
    this.#answerEnded = endOfAnswer;
    if (status === 200 && !hasLength && answersInEnvelopes(this.#protocol, fieldValue(fields, "content-type") ?? "")) {
      this.#tracker = new EnvelopeTracker();
    }
    // node:http refuses to announce trailers where none can follow.
    const trailersPossible = !hasLength && !endOfAnswer && this.exchange.head.httpVersion !== "1.0";
    if (endOfAnswer) this.account.completed(status, fields, [], undefined);
    this.account.status = status;
    try {
      this.exchange.respond(status, responseFields(fields, via, trailersPossible), endOfAnswer);
    } catch (error) {
      const { runtimeId } = this.#decision.provider.plugin;
      this.#failProvider(
        `${runtimeId} answered with fields that cannot be passed on: ${(error as Error).message}`,
        502,
      );
      return;
    }
    // `respond` may have ended the exchange, and with it this call.
    if (endOfAnswer || (this.#state as string) === "over") return;
    this.#answerPump = new Pump(call.answerBody, this.exchange.response, this);
    this.#answerPump.start();
  }

  ended(trailers: FieldList): void {
    if (this.#state === "over") return;
    if (!this.#answerEnded) this.account.completed(this.#answerStatus, this.#answerFields, trailers, this.#tracker);
    this.#leave();
    if (!this.#answerEnded) this.exchange.end(passedTrailers(trailers));
  }

  broken(failure: UpstreamFailure): void {
    if (this.#state === "over") return;
    const { runtimeId } = this.#decision.provider.plugin;
    if (this.#state === "answering") {
      this.#failProvider(`${runtimeId} broke off its answer: ${failure.message}`, 502);
    } else if (failure.kind === "invalid") {
      this.#fail(failureOf("invalid_argument", 400, `the request cannot be passed on: ${failure.message}`), "refused");
    } else if (failure.kind === "broken") {
      this.#failProvider(`${runtimeId} broke the connection before it answered: ${failure.message}`, 502);
    } else if (this.#state === "calling") {
      // Nobody has seen the call, but what was read of its body cannot be read again.
      this.#failProvider(`${runtimeId} did not take the call: ${failure.message}`, 502);
    } else {
      this.#tryAgain(failure);
    }
  }

  /** Called for a call that has certainly not reached its provider, and whose body nobody has read. */
  #tryAgain(failure: UpstreamFailure): void {
    const { runtimeId } = this.#decision.provider.plugin;
    this.context.headTimeouts.delete(this);
    this.#retries ??= new CallRetries(this.context, this.target);
    const next = this.#retries.after(failure, this.#decision);
    switch (next.kind) {
      case "elsewhere":
        if (next.providerFailed) this.context.traffic.failed(runtimeId, failure.message);
        this.#moveTo(next.decision);
        return;
      case "later":
        this.#redial = this.context.clock.after(next.delayMs, () => this.#tryNow(next.decide()));
        return;
      case "give-up":
        this.#failProvider(`${runtimeId} cannot be reached: ${failure.message}`, 502);
    }
  }

  #tryNow(decision: Decision): void {
    if (decision.kind === "forward") this.#moveTo(decision);
    else this.#fail(decision, "refused");
  }

  #moveTo(next: Forward): void {
    const before = this.#decision.provider.inFlight;
    this.#enter(next);
    // In this order, so that nobody who waits for either to be idle is told so in between.
    if (next.provider.inFlight !== before) before.leave(this);
    this.#dial();
  }

  // Ends.

  #failProvider(reason: string, httpStatus: number): void {
    this.context.traffic.failed(this.#decision.provider.plugin.runtimeId, reason);
    this.#fail(failureOf("unavailable", httpStatus, reason, this.context.options.retryAfterMs), "provider-failed");
  }

  #fail(failure: CallFailure, outcome: CallEvent["outcome"]): void {
    if (this.#state === "over") return;
    this.account.failed(failure, outcome);
    this.#leave(true);
    if (this.exchange.ended !== undefined) return;
    if (this.exchange.responded) breakAnswer(this.exchange, this.#protocol, this.#tracker, failure);
    else this.account.status = sendError(this.exchange, this.#protocol, failure);
  }

  /** The provider is done with this call, or we are done with the provider. */
  #leave(cancel = false): void {
    this.#state = "over";
    this.#deadline?.cancel();
    this.#redial?.cancel();
    this.context.headTimeouts.delete(this);
    this.#requestPump?.stop();
    this.#answerPump?.stop();
    const call = this.#call;
    // What an answered provider has not taken of the request it will not get any more.
    if (call !== undefined && (cancel || (this.#hasBody && !this.#isSent(call)))) call.cancel();
    this.#decision.provider.inFlight.leave(this);
  }

  #isSent(call: UpstreamCall): boolean {
    return this.#requestSent && call.requestBody.writableFinished;
  }

  #onExchangeEnd(end: ExchangeEnd): void {
    const { account } = this;
    // An answer without a body was handed over as a whole: a caller that closes then has got it.
    if (end.kind === "caller-gone" && !this.#answerEnded && account.outcome === "completed") {
      account.failed(failureOf("canceled", 499, "the caller went away"), "caller-gone");
    }
    if (this.#state !== "over" && !this.#answerEnded) this.#leave(true);
    account.requestBytes = this.#requestPump?.bytes ?? 0;
    account.responseBytes = this.#answerPump?.bytes ?? 0;
    this.context.onCall(account.event());
  }
}
