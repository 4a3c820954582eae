import type { FieldList } from "../http/exchange.js";
import { noFields } from "../http/field-list.js";
import { callKind, type ResetCode, resetCode } from "../link/frame.js";
import { okEnd } from "../link/head-codec.js";
import type { LinkSession } from "../link/link-session.js";
import type { LinkEnd, LinkStream, LinkStreamHandler } from "../link/link-stream.js";
import { type Principal, principalId } from "../model/principal.js";
import { CallRetries } from "./call-retries.js";
import { bodyTooLong, type DecideRequest, type Decision, decide, type Forward, type Refuse } from "./decide.js";
import { withoutHostsAnswers } from "./hosts-answer.js";
import { codeOfEnd, failureOfReset, isInvalid, statusOfEnd, withoutClaims } from "./link-end.js";
import { linkFields } from "./link-fields.js";
import { type Detour, type LinkedCallContext, type LinkedCallInit, LinkedCallState } from "./linked-call-state.js";
import type { RouteTarget } from "./path.js";
import { failureOf } from "./protocol-error.js";
import { ProviderLeg } from "./provider-leg.js";
import type { WaitingCall } from "./provider-queue.js";

/**
 * One call of messages that comes over a link: what `ForwardedCall` is for calls over HTTP. To a provider on a link messages go as
 * they come, undecoded, each side at the speed of the slower one. It is `waiting` until a provider is found, `calling` until
 * something of the answer comes, `answering` until its end, and `over` then.
 */
export class LinkedCall extends LinkedCallState implements LinkStreamHandler, WaitingCall {
  readonly pieces = true;
  readonly serviceType: string;
  readonly pinned: boolean;
  #detour: Detour | undefined;
  #hasEnded = false;
  #retries: CallRetries | undefined;

  constructor(context: LinkedCallContext, call: LinkedCallInit) {
    super(context, call);
    const { target } = call;
    this.serviceType = target.kind === "target" ? target.serviceType : "";
    this.pinned = target.kind === "target" && target.runtimeId !== undefined;
    call.account.serviceType = this.serviceType;
    // A unary call comes with its message, or has none: it is begun with that, so that both leave in one frame.
    if (call.from.head.kind !== callKind.unary) this.#begin();
  }

  // While it waits.

  get callerKey(): string {
    return principalId(this.call.caller as Principal);
  }

  decide(): Decision {
    const { view, decideOptions } = this.context.forward;
    return decide(this.#request(), view, decideOptions);
  }

  forward(decision: Forward): void {
    if (this.state === "over") return;
    const { forward } = this.context;
    this.isQueued = false;
    if (this.decision === undefined && decision.caller.kind === "plugin") {
      forward.traffic.called(decision.caller, decision.serviceType);
    }
    const session = forward.links.sessionOf(decision.provider.plugin.runtimeId);
    if (session === undefined) return this.#goRound(decision);
    this.#enter(decision);
    this.tellSoon(decision.provider.plugin.runtimeId);
    this.#open(session, decision);
  }

  refuse(refusal: Refuse): void {
    if (refusal.provider !== undefined) this.call.account.provider = refusal.provider.plugin;
    this.fail(this.call.account.notSent(refusal), "refused");
  }

  // From the caller.

  onData(bytes: Uint8Array, endOfMessage: boolean): void {
    if (this.#detour !== undefined) return this.#detour.onData(bytes, endOfMessage);
    const { account, from } = this.call;
    const { maxBodyBytes } = this.context.forward.options;
    account.requestBytes += bytes.length;
    if (account.requestBytes > maxBodyBytes) {
      return this.fail(failureOf("resource_exhausted", 413, bodyTooLong(maxBodyBytes)), "refused");
    }
    const to = this.to;
    if (this.state !== "answering") this.kept.add(bytes, endOfMessage, to === undefined);
    if (this.state === "new") this.#begin();
    // What was not sent is not consumed, so that it is a window at most.
    else if (to === undefined) return;
    else if (endOfMessage && from.peerEnd !== undefined) {
      // Together, so that the last message and the end stay one frame.
      to.end(okEnd, bytes);
      from.consume();
    } else this.#send(to, from, bytes, endOfMessage);
  }

  onEnd(end: LinkEnd): void {
    if (this.#detour !== undefined) return this.#detour.onEnd(end);
    this.#hasEnded = true;
    if (this.state === "new") this.#begin();
    if (this.to === undefined) return;
    this.to.end();
    this.call.from.consume();
    this.#requestEnded();
  }

  onReset(code: ResetCode, message: string): void {
    if (this.#detour !== undefined) return this.#detour.onReset(code, message);
    if (this.state === "over") return;
    const { account } = this.call;
    if (code === resetCode.deadline) {
      account.failed(this.lateFailure(), this.isQueued ? "refused" : "aborted");
      account.status = this.isUnary ? 504 : 200;
    } else account.failed(failureOf("canceled", 499, "the caller went away"), "caller-gone");
    this.leave(code === resetCode.deadline ? code : resetCode.cancelled, message);
  }

  onDrain(): void {
    if (this.#detour !== undefined) this.#detour.onDrain?.();
    else this.to?.consume();
  }

  // From the provider.

  head(fields: FieldList): void {
    this.#answered();
    if (this.state === "answering") this.sendHead(withoutHostsAnswers(fields));
  }

  /** False if more should wait for the caller to drain. */
  pass(bytes: Uint8Array, endOfMessage: boolean, end: LinkEnd | undefined): boolean {
    this.#answered();
    if (this.state !== "answering") return true;
    if (this.mustTell) this.sendHead(noFields);
    const { account, from } = this.call;
    account.responseBytes += bytes.length;
    this.moved += 1;
    this.isMidMessage = !endOfMessage;
    if (end === undefined || !endOfMessage) return from.send(bytes, endOfMessage);
    // Together, so that the last message and the end stay one frame.
    from.end(withoutClaims(end), bytes);
    return true;
  }

  complete(end: LinkEnd): void {
    this.#answered();
    if (this.state !== "answering") return;
    if (this.mustTell) this.sendHead(noFields);
    const { account, from } = this.call;
    from.end(withoutClaims(end));
    account.code = codeOfEnd(end.code);
    account.status = this.isUnary ? statusOfEnd(end.code) : 200;
    this.leave();
  }

  /** The provider's side has ended without the end of an answer. */
  broken(code: ResetCode, message: string): void {
    if (this.state !== "calling" && this.state !== "answering") return;
    if (code === resetCode.deadline && this.call.from.head.deadlineMs > 0) {
      return this.fail(this.lateFailure(), "aborted");
    }
    const hasAnswered = this.state === "answering";
    if (code === resetCode.refused && !hasAnswered && this.kept.isComplete) return this.#tryAgain(message);
    const { traffic, options } = this.context.forward;
    const { runtimeId } = this.provider;
    const reason = `${runtimeId} ${hasAnswered ? "broke off its answer" : "broke the call off before it answered"}: ${message}`;
    // Whatever was too large, it was looked at: nothing is wrong with the provider that its other callers should have to do with.
    if (code === resetCode.tooLarge) traffic.answered(runtimeId);
    else if (hasAnswered) traffic.broke(runtimeId, reason);
    else traffic.failed(runtimeId, reason);
    this.fail(failureOfReset(code, reason, options.retryAfterMs), "provider-failed");
  }

  drained(): void {
    if (this.state === "calling" && !this.#hasEnded) this.context.forward.headTimeouts.delete(this);
    this.call.from.consume();
  }

  #request(): DecideRequest {
    const { target, caller, account } = this.call;
    return { target, caller, avoided: account.avoided, contentLength: undefined, waited: this.isQueued };
  }

  #begin(): void {
    this.state = "waiting";
    const decision = this.call.decided ?? this.decide();
    if (decision.kind === "forward") return this.forward(decision);
    if (decision.busy !== true) return this.refuse(decision);
    this.call.account.provider = decision.provider?.plugin;
    this.isQueued = true;
    this.context.queue.join(this, decision);
  }

  #enter(decision: Forward): void {
    const { account } = this.call;
    const before = this.decision?.provider.inFlight;
    const { plugin, inFlight } = decision.provider;
    this.decision = decision;
    account.provider = plugin;
    account.method = decision.method;
    inFlight.enter(this);
    // In this order, so that nobody who waits for either to be idle is told so in between.
    if (before !== undefined && before !== inFlight) before.leave(this);
  }

  #open(session: LinkSession, decision: Forward): void {
    const { from, origin, account } = this.call;
    const { kind, deadlineMs } = from.head;
    // The call may have waited for its turn.
    const leftMs = deadlineMs === 0 ? 0 : Math.max(1, Math.ceil(deadlineMs - account.elapsedMs()));
    const fields = linkFields(this.context.forward, from.head.fields, origin, decision, account);
    const leg = new ProviderLeg(this);
    const [first, ...more] = this.kept.pieces;
    const whole = first?.endOfMessage === true && more.length === 0 && (this.#hasEnded || from.peerEnd !== undefined);
    this.state = "calling";
    try {
      const head = { kind, path: decision.upstreamPath, deadlineMs: leftMs, fields };
      const to = whole ? session.open(head, leg, first.bytes, true) : session.open(head, leg);
      leg.stream = to;
      this.to = to;
    } catch (error) {
      const { message } = error as Error;
      // Nothing is wrong with the call while the link ends, or has as many calls as may wait.
      if (!isInvalid(error)) return this.#tryAgain(message);
      return this.fail(failureOf("invalid_argument", 400, `the call cannot be passed on: ${message}`), "refused");
    }
    if (!this.isUnary) this.watchIdle();
    if (whole) from.consume();
    else for (const piece of this.kept.pieces) this.#send(this.to, from, piece.bytes, piece.endOfMessage);
    if (!this.#hasEnded) return;
    this.to.end();
    this.#requestEnded();
  }

  #send(to: LinkStream, from: LinkStream, bytes: Uint8Array, endOfMessage: boolean): void {
    this.moved += 1;
    if (to.send(bytes, endOfMessage)) return from.consume();
    // A provider that neither answers nor reads gets no more time than one that has read all.
    if (this.state === "calling") this.context.forward.headTimeouts.add(this);
  }

  #requestEnded(): void {
    if (this.state === "calling") this.context.forward.headTimeouts.add(this);
  }

  #answered(): void {
    if (this.state !== "calling") return;
    const { headTimeouts, traffic } = this.context.forward;
    this.state = "answering";
    this.kept.forget();
    headTimeouts.delete(this);
    traffic.answered(this.provider.runtimeId);
  }

  /** Over HTTP, for a provider without a link. It is the call's own from here on. */
  #goRound(decision: Forward): void {
    const { from, account, detour } = this.call;
    this.tellEarly(decision.provider.plugin.runtimeId);
    const handler = detour(decision, account);
    this.#detour = handler;
    for (const { bytes, endOfMessage } of this.kept.pieces) handler.onData(bytes, endOfMessage);
    this.kept.forget();
    if (this.#hasEnded && from.peerEnd !== undefined) handler.onEnd(from.peerEnd);
    handler.begin();
    this.decision?.provider.inFlight.leave(this);
  }

  #tryAgain(message: string): void {
    const { forward } = this.context;
    const decision = this.decision as Forward;
    this.state = "waiting";
    this.to = undefined;
    this.tellNobody();
    forward.headTimeouts.delete(this);
    this.idle?.stop();
    this.#retries ??= new CallRetries(forward, this.call.target as RouteTarget, this.call.account.avoided);
    const next = this.#retries.after({ kind: "refused", message }, decision);
    if (next.kind === "elsewhere") this.forward(next.decision);
    else if (next.kind === "later") this.redial = forward.clock.after(next.delayMs, () => this.#tryNow(next.decide()));
    else this.failProvider(`${this.provider.runtimeId} cannot be reached: ${message}`, 502);
  }

  #tryNow(decision: Decision): void {
    if (decision.kind === "forward") this.forward(decision);
    else this.refuse(decision);
  }
}
