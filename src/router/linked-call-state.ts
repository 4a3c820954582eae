import type { FieldList } from "../http/exchange.js";
import type { Timer } from "../internal/clock.js";
import type { InFlightEntry } from "../internal/in-flight.js";
import { callKind, type ResetCode, resetCode } from "../link/frame.js";
import type { LinkStream, LinkStreamHandler } from "../link/link-stream.js";
import type { CallEvent } from "../model/call-event.js";
import type { RuntimeId } from "../model/catalog.js";
import { providerField } from "../model/provider-choice.js";
import type { CallAccount } from "./call-account.js";
import type { Caller, Forward } from "./decide.js";
import type { ForwardContext } from "./forward-context.js";
import { IdleWatch } from "./idle-watch.js";
import { KeptPieces } from "./kept-pieces.js";
import { endOfFailure, resetOfFailure } from "./link-end.js";
import type { LinkOrigin } from "./link-fields.js";
import type { BadPath, RouteTarget } from "./path.js";
import { type CallFailure, failureOf } from "./protocol-error.js";
import type { ProviderQueue, WaitingCall } from "./provider-queue.js";
import type { TimeoutEntry, TimeoutPlace } from "./timeout-queue.js";

// Long enough that calls which are answered as usual cost no frame more.
const soonMs = 10;

/** What calls over links are made of beside themselves. */
export interface LinkedCallContext {
  readonly forward: ForwardContext;
  readonly queue: ProviderQueue;
  /** Tells of a call that is over. */
  tell(account: CallAccount): void;
}

/** One call as it comes. */
export interface LinkedCallInit {
  readonly from: LinkStream;
  readonly origin: LinkOrigin;
  readonly target: RouteTarget | BadPath;
  readonly caller: Caller;
  readonly account: CallAccount;
  /** The decision, if it was made already. @default it is made when the call begins */
  readonly decided?: Forward;
  /** Takes the call over HTTP to a provider without a link. Returns who takes the caller's side from then on. */
  readonly detour: (decision: Forward, account: CallAccount) => Detour;
}

/** A call that goes on over HTTP. */
export interface Detour extends LinkStreamHandler {
  /** Begins, with what it was given so far. */
  begin(): void;
}

/** What is known of a call over a link, and how it ends. How it moves is in `LinkedCall`. */
export abstract class LinkedCallState implements InFlightEntry, TimeoutEntry {
  timeoutPlace: TimeoutPlace | undefined = undefined;
  protected readonly context: LinkedCallContext;
  protected readonly call: LinkedCallInit;
  protected readonly kept: KeptPieces;
  protected state: "new" | "waiting" | "calling" | "answering" | "over" = "new";
  protected isQueued = false;
  protected decision: Forward | undefined;
  /** The provider's side. */
  protected to: LinkStream | undefined;
  /** Whether a part of a message was sent to the caller. */
  protected isMidMessage = false;
  /** Counts what passes, in either direction. */
  protected moved = 0;
  protected redial: Timer | undefined;
  protected idle: IdleWatch | undefined;

  #hasTold = false;
  #early: Timer | undefined;

  constructor(context: LinkedCallContext, call: LinkedCallInit) {
    this.context = context;
    this.call = call;
    this.kept = new KeptPieces(context.forward.options.replayMaxBytes);
  }

  abort(reason: Error): void {
    this.fail(this.unavailable(reason.message, 503), "aborted");
  }

  onTimeout(): void {
    const { headersTimeoutMs } = this.context.forward.options;
    this.failProvider(`${this.provider.runtimeId} did not answer within ${headersTimeoutMs} ms`, 504);
  }

  /** Whether the caller wants to know who was asked, and was not told yet. */
  protected get mustTell(): boolean {
    return !this.#hasTold && this.call.account.avoided !== undefined;
  }

  /** Sends the head of the answer, with who was asked if the caller wants to know. */
  protected sendHead(fields: FieldList): void {
    const { account, from } = this.call;
    const { toldProvider } = account;
    this.#hasTold = true;
    this.tellNobody();
    from.sendHead(toldProvider === undefined ? fields : [...fields, providerField, toldProvider]);
  }

  /**
   * Says who was asked before there is an answer. A caller that has run out of its own time hears nothing that comes
   * later, and those who never answer are the ones whom it wants to know.
   */
  protected tellEarly(provider: RuntimeId): void {
    this.tellNobody();
    if (this.mustTell) this.call.from.sendHead([":status", "103", providerField, provider], true);
  }

  /** The same if there is no answer soon. */
  protected tellSoon(provider: RuntimeId): void {
    this.tellNobody();
    if (!this.mustTell) return;
    this.#early = this.context.forward.clock.after(soonMs, () => this.tellEarly(provider));
  }

  /** Whoever was asked has not taken the call. */
  protected tellNobody(): void {
    this.#early?.cancel();
    this.#early = undefined;
  }

  protected get isUnary(): boolean {
    return this.call.from.head.kind === callKind.unary;
  }

  protected get provider() {
    return (this.decision as Forward).provider.plugin;
  }

  protected watchIdle(): void {
    const { idleStreams, options } = this.context.forward;
    if (idleStreams === undefined) return;
    this.idle = new IdleWatch(
      idleStreams,
      () => this.moved,
      () => {
        const reason = `nothing moved in either direction for ${options.idleStreamMs} ms`;
        this.fail(this.unavailable(reason, 504), "aborted");
      },
    );
  }

  protected lateFailure(): CallFailure {
    const where = this.isQueued ? "was over before a provider had room" : "is over";
    return failureOf(
      "deadline_exceeded",
      504,
      `the caller's deadline of ${this.call.from.head.deadlineMs} ms ${where}`,
    );
  }

  protected unavailable(reason: string, httpStatus: number): CallFailure {
    return failureOf("unavailable", httpStatus, reason, this.context.forward.options.retryAfterMs);
  }

  protected failProvider(reason: string, httpStatus: number): void {
    this.context.forward.traffic.failed(this.provider.runtimeId, reason);
    this.fail(this.unavailable(reason, httpStatus), "provider-failed");
  }

  protected fail(failure: CallFailure, outcome: CallEvent["outcome"]): void {
    if (this.state === "over") return;
    const { account, from } = this.call;
    account.failed(failure, outcome);
    account.status = this.isUnary ? failure.httpStatus : 200;
    // An end inside a message would be an error of its own.
    if (this.isMidMessage) from.reset(resetOfFailure(failure.code), failure.reason);
    else from.end(endOfFailure(this.mustTell ? account.withProvider(failure) : failure));
    this.leave(failure.code === "deadline_exceeded" ? resetCode.deadline : resetCode.cancelled, failure.reason);
  }

  /** The call is over. @param code what a provider is told that still works on it */
  protected leave(code: ResetCode = resetCode.cancelled, message = ""): void {
    const { forward, queue, tell } = this.context;
    if (this.isQueued) queue.leave(this as unknown as WaitingCall);
    this.state = "over";
    this.tellNobody();
    this.redial?.cancel();
    this.idle?.stop();
    this.kept.forget();
    forward.headTimeouts.delete(this);
    if (this.to?.closed === false) this.to.reset(code, message);
    this.decision?.provider.inFlight.leave(this);
    tell(this.call.account);
  }
}
