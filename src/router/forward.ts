import type { ExchangeEnd, FieldList, ServerExchange } from "../http/exchange.js";
import type { Timer } from "../internal/clock.js";
import type { InFlightEntry } from "../internal/in-flight.js";
import type { CallEvent } from "../model/call-event.js";
import { AnswerRelay } from "./answer-relay.js";
import type { CallAccount } from "./call-account.js";
import { CallLimits, type LimitedCall } from "./call-limits.js";
import { CallRetries } from "./call-retries.js";
import { bodyTooLong, type Decision, type Forward } from "./decide.js";
import type { ForwardContext } from "./forward-context.js";
import type { RouteTarget } from "./path.js";
import { type CallFailure, failureOf, sendError } from "./protocol-error.js";
import { isRepeatable } from "./repeatable.js";
import { type RelayWatcher, RequestRelay } from "./request-relay.js";
import { isPassedInformational, responseFields } from "./response-headers.js";
import type { TimeoutEntry, TimeoutPlace } from "./timeout-queue.js";
import type { Upstream, UpstreamCall, UpstreamEvents, UpstreamFailure } from "./upstream.js";
import { LinkUpstream } from "./upstream-link.js";
import { upstreamRequest } from "./upstream-request.js";

/** Failures that come before a provider has seen anything of the call, or by which it says that it has not looked at it. */
const neverReached: ReadonlySet<UpstreamFailure["kind"]> = new Set(["refused", "unreachable", "untrusted"]);

/**
 * Carries one call to a provider and its answer back. The provider's side of the call is `dialing` until a connection
 * stands, `calling` until the head of the answer comes, `answering` until its end, and `over` then; the caller's side
 * is the exchange.
 */
export class ForwardedCall implements InFlightEntry, UpstreamEvents, RelayWatcher, LimitedCall, TimeoutEntry {
  #state: "dialing" | "calling" | "answering" | "over" = "dialing";
  #decision: Forward;
  #call: UpstreamCall | undefined;
  /** Undefined for requests without a body. */
  readonly #relay: RequestRelay | undefined;
  readonly #answer: AnswerRelay;
  #limits: CallLimits | undefined;
  #redial: Timer | undefined;
  #retries: CallRetries | undefined;
  /** Whether the call was ended because its time was over. */
  #isLate = false;
  timeoutPlace: TimeoutPlace | undefined = undefined;

  constructor(
    readonly context: ForwardContext,
    readonly exchange: ServerExchange,
    readonly target: RouteTarget,
    readonly account: CallAccount,
    decision: Forward,
  ) {
    this.#decision = decision;
    this.#answer = new AnswerRelay(exchange, account, () => (this.#state === "over" ? undefined : this.#call));
    if (!exchange.bodyless) this.#relay = new RequestRelay(exchange, context.options.replayMaxBytes, this);
  }

  /** Whether the call may need both directions at once, which most providers serve over HTTP/2 only. */
  get #wantsHttp2(): boolean {
    const { httpVersion, connection } = this.exchange.head;
    if (httpVersion === "2") return true;
    return (
      connection.transport === "memory" &&
      (this.account.protocol === "connect-stream" || this.account.protocol === "grpc")
    );
  }

  begin(): void {
    this.#enter(this.#decision);
    this.exchange.onEnd((end) => this.#onExchangeEnd(end));
    if (this.exchange.ended !== undefined) return;
    this.#limits = new CallLimits(this.context, this.account, this);
    this.#dial();
  }

  /** Ends the call on the host's behalf. */
  abort(reason: Error): void {
    this.#fail(this.#unavailable(reason.message, 503), "aborted");
  }

  onTimeout(): void {
    const { plugin } = this.#decision.provider;
    const reason = `${plugin.runtimeId} did not answer within ${this.context.options.headersTimeoutMs} ms`;
    this.#isLate = true;
    this.#failProvider(reason, 504);
  }

  get moved(): number {
    return this.#answer.bytes + (this.#relay?.bytes ?? 0);
  }

  exceeded(failure: CallFailure, isLate: boolean): void {
    this.#isLate = isLate;
    this.#fail(failure, "aborted");
  }

  // Towards the provider.

  #enter(decision: Forward): void {
    this.#decision = decision;
    this.account.provider = decision.provider.plugin;
    this.account.serviceType = decision.serviceType;
    this.account.method = decision.method;
    decision.provider.inFlight.enter(this);
  }

  #dial(): void {
    const { plugin } = this.#decision.provider;
    const link = this.context.links.sessionOf(plugin.runtimeId);
    if (link !== undefined) return this.#start(new LinkUpstream(link), "link");
    const pool = this.context.connections.poolOf(plugin);
    const protocol = pool?.protocolFor(this.#wantsHttp2, this.account.protocol === "grpc") ?? "none";
    if (pool === undefined || protocol === "none") {
      const reason = `${plugin.runtimeId} speaks HTTP/1.1 only, and gRPC needs HTTP/2`;
      this.#fail(failureOf("unimplemented", 501, reason), "refused");
    } else if (protocol === "probe") {
      pool.probe((failure) => {
        if (this.#state !== "dialing") return;
        if (failure === undefined) this.#dial();
        else this.broken(failure);
      });
    } else this.#start(pool.upstream(protocol), protocol);
  }

  #start(upstream: Pick<Upstream, "start">, protocol: "h1" | "h2" | "link"): void {
    if (this.#relay === undefined) this.context.headTimeouts.add(this);
    const request = upstreamRequest(this.context, this.exchange, this.#decision, this.account, protocol);
    const call = upstream.start(request, this);
    // The call may have begun, and even have failed, from within.
    if (this.#state !== "over") this.#call = call;
    else call.cancel();
  }

  ready(call: UpstreamCall): void {
    if (this.#state !== "dialing") return;
    this.#state = "calling";
    this.#call = call;
    this.#relay?.begin(call);
  }

  drained(): void {
    this.#relay?.drained();
  }

  passing(totalBytes: number): boolean {
    const { maxBodyBytes } = this.context.options;
    if (totalBytes <= maxBodyBytes) return true;
    this.#fail(failureOf("resource_exhausted", 413, bodyTooLong(maxBodyBytes)), "refused");
    return false;
  }

  blocked(isBlocked: boolean): void {
    // A provider that neither answers nor reads gets no more time than one that has read all.
    if (this.#state !== "calling") return;
    if (isBlocked) this.context.headTimeouts.add(this);
    else this.context.headTimeouts.delete(this);
  }

  requestEnded(): void {
    if (this.#state === "calling") this.context.headTimeouts.add(this);
  }

  // From the provider.

  informational(status: number, fields: FieldList): void {
    if (!isPassedInformational(status)) return;
    this.exchange.informational(status, responseFields(fields, undefined, false));
  }

  answered(status: number, fields: FieldList, endOfAnswer: boolean): void {
    if (this.#state === "over") return;
    this.#state = "answering";
    this.#relay?.forget();
    this.context.headTimeouts.delete(this);
    this.context.traffic.answered(this.#decision.provider.plugin.runtimeId);
    try {
      this.#answer.begin(status, fields, endOfAnswer, this.context.options.viaName);
    } catch (error) {
      const { runtimeId } = this.#decision.provider.plugin;
      this.#failProvider(
        `${runtimeId} answered with fields that cannot be passed on: ${(error as Error).message}`,
        502,
      );
    }
  }

  data(chunk: Buffer): void {
    if (this.#state === "answering") this.#answer.data(chunk);
  }

  ended(trailers: FieldList): void {
    if (this.#state === "over") return;
    this.#answer.complete(trailers);
    this.#leave();
    this.#answer.end(trailers);
  }

  broken(failure: UpstreamFailure): void {
    if (this.#state === "over") return;
    const { runtimeId } = this.#decision.provider.plugin;
    if (failure.kind === "too-large") {
      // An answer all the same: there is nothing wrong with the provider that its other callers should have to do with.
      if (this.#state !== "answering") this.context.traffic.answered(runtimeId);
      this.#fail(
        failureOf("internal", 500, `${runtimeId} has answered with too much: ${failure.message}`),
        "provider-failed",
      );
    } else if (this.#state === "answering") {
      const reason = `${runtimeId} broke off its answer: ${failure.message}`;
      this.context.traffic.broke(runtimeId, reason);
      this.#fail(this.#unavailable(reason, 502), "provider-failed");
    } else if (failure.kind === "invalid") {
      this.#fail(failureOf("invalid_argument", 400, `the request cannot be passed on: ${failure.message}`), "refused");
    } else if (failure.kind === "bad-answer" || (failure.kind === "broken" && !isRepeatable(this.exchange.head))) {
      this.#failProvider(`${runtimeId} broke the connection before it answered: ${failure.message}`, 502);
    } else if (this.#relay?.repeatable === false) {
      this.#failProvider(`${runtimeId} did not take the call: ${failure.message}`, 502);
    } else {
      this.#tryAgain(failure);
    }
  }

  /** Called for a call that has certainly not reached its provider, or may reach it twice, with its whole request at hand. */
  #tryAgain(failure: UpstreamFailure): void {
    const { plugin } = this.#decision.provider;
    this.#state = "dialing";
    this.#relay?.detach();
    this.context.headTimeouts.delete(this);
    if (failure.kind === "speaks-http2") this.context.connections.poolOf(plugin)?.speaksHttp2Only();
    this.#retries ??= new CallRetries(this.context, this.target, this.account.avoided);
    const next = this.#retries.after(failure, this.#decision);
    switch (next.kind) {
      case "elsewhere":
        if (next.providerFailed) this.context.traffic.failed(plugin.runtimeId, failure.message);
        this.#moveTo(next.decision);
        return;
      case "later":
        this.#redial = this.context.clock.after(next.delayMs, () => this.#tryNow(next.decide()));
        return;
      case "give-up":
        this.#failProvider(
          `${plugin.runtimeId} cannot be reached: ${failure.message}`,
          502,
          neverReached.has(failure.kind),
        );
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

  #failProvider(reason: string, httpStatus: number, neverReached = false): void {
    this.context.traffic.failed(this.#decision.provider.plugin.runtimeId, reason);
    const failure = this.#unavailable(reason, httpStatus);
    this.#fail(neverReached ? this.account.notSent(failure) : failure, "provider-failed");
  }

  #unavailable(reason: string, httpStatus: number): CallFailure {
    return failureOf("unavailable", httpStatus, reason, this.context.options.retryAfterMs);
  }

  #fail(failure: CallFailure, outcome: CallEvent["outcome"]): void {
    if (this.#state === "over") return;
    this.account.failed(failure, outcome);
    this.#leave(true);
    if (this.exchange.ended !== undefined) return;
    if (this.exchange.responded) this.#answer.break(failure);
    else this.account.status = sendError(this.exchange, this.account.protocol, this.account.withProvider(failure));
  }

  /** The provider is done with this call, or we are done with the provider. */
  #leave(cancel = false): void {
    this.#state = "over";
    this.#redial?.cancel();
    this.#limits?.stop();
    this.context.headTimeouts.delete(this);
    this.#relay?.stop();
    // What an answered provider has not taken of the request it will not get any more.
    const unsent = this.#relay?.ended === false || this.#call?.sent === false;
    if (cancel || unsent) this.#call?.cancel(this.#isLate);
    this.#decision.provider.inFlight.leave(this);
  }

  #onExchangeEnd(end: ExchangeEnd): void {
    const { account } = this;
    // An answer without a body was handed over as a whole: a caller that closes then has got it.
    if (end.kind === "caller-gone" && !this.#answer.isHeadOnly && account.outcome === "completed") {
      account.failed(failureOf("canceled", 499, "the caller went away"), "caller-gone");
    }
    if (this.#state !== "over" && !this.#answer.isHeadOnly) this.#leave(true);
    account.requestBytes = this.#relay?.bytes ?? 0;
    account.responseBytes = this.#answer.bytes;
    this.context.onCall(account.event());
  }
}
