import type { ExchangeEnd, ServerExchange } from "../http/exchange.js";
import type { Timer } from "../internal/clock.js";
import type { Principal } from "../model/principal.js";
import { principalId } from "../model/principal.js";
import type { CallAccount } from "./call-account.js";
import { callerDeadlineMs } from "./deadline.js";
import { bodyTooLong, type DecideRequest, type Decision, decide, type Forward, type Refuse } from "./decide.js";
import type { ForwardContext } from "./forward-context.js";
import { failureOf } from "./protocol-error.js";
import type { ProviderQueue, WaitingCall } from "./provider-queue.js";
import { refuseCall } from "./refuse-call.js";

/** What a {@link QueuedCall} is made of. */
export interface QueuedCallParts {
  readonly context: ForwardContext;
  readonly queue: ProviderQueue;
  readonly exchange: ServerExchange;
  readonly account: CallAccount;
  /** As it was first decided on. Its caller is a known one: others are refused before anybody is busy. */
  readonly request: DecideRequest;
  /** Takes the call when its turn has come. */
  readonly forward: (decision: Forward) => void;
}

/** A call that waits for a provider to have room: its body is unread, and nobody has been told of it. */
export class QueuedCall implements WaitingCall {
  readonly callerKey: string;
  readonly serviceType: string;
  readonly pinned: boolean;
  readonly #parts: QueuedCallParts;
  readonly #request: DecideRequest;
  #deadline: Timer | undefined;
  #isOver = false;

  constructor(parts: QueuedCallParts) {
    const { target, caller } = parts.request;
    this.#parts = parts;
    this.#request = { ...parts.request, waited: true };
    this.callerKey = principalId(caller as Principal);
    this.serviceType = target.kind === "target" ? target.serviceType : "";
    this.pinned = target.kind === "target" && target.runtimeId !== undefined;
  }

  /** Gets in line, if there is one that is not full; otherwise the call is refused. */
  join(refusal: Refuse): void {
    const { queue, exchange, context, account, request } = this.#parts;
    const { maxBodyBytes } = context.options;
    if (request.contentLength !== undefined && request.contentLength > maxBodyBytes) {
      // No room would help it.
      refuseCall(context, exchange, account, {
        kind: "refuse",
        provider: refusal.provider,
        ...failureOf("resource_exhausted", 413, bodyTooLong(maxBodyBytes)),
      });
      return;
    }
    account.provider = refusal.provider?.plugin;
    exchange.onEnd((end) => this.#onExchangeEnd(end));
    if (this.#isOver) return;
    queue.join(this, refusal);
    if (this.#isOver) return;
    const deadlineMs = callerDeadlineMs(account.protocol, exchange.head);
    // A longer one can only be over when the wait is, too.
    if (deadlineMs === undefined || deadlineMs > context.options.queueTimeoutMs) return;
    this.#deadline = context.clock.after(deadlineMs - account.elapsedMs(), () => {
      queue.leave(this);
      const reason = `the caller's deadline of ${deadlineMs} ms was over before a provider had room`;
      const failure = failureOf("deadline_exceeded", 504, reason);
      this.refuse({ kind: "refuse", provider: refusal.provider, ...failure });
    });
  }

  decide(): Decision {
    const { context } = this.#parts;
    return decide(this.#request, context.view, context.decideOptions);
  }

  forward(decision: Forward): void {
    this.#end();
    this.#parts.forward(decision);
  }

  refuse(refusal: Refuse): void {
    this.#end();
    const { context, exchange, account } = this.#parts;
    refuseCall(context, exchange, account, refusal);
  }

  #end(): void {
    this.#isOver = true;
    this.#deadline?.cancel();
  }

  /** The caller hung up. Once somebody else has the call, its end is told there. */
  #onExchangeEnd(end: ExchangeEnd): void {
    if (this.#isOver) return;
    this.#end();
    const { context, queue, account } = this.#parts;
    queue.leave(this);
    const reason = end.kind === "caller-gone" ? "the caller went away" : "the call was given up";
    account.failed(failureOf("canceled", 499, reason), end.kind === "caller-gone" ? "caller-gone" : "aborted");
    context.onCall(account.event());
  }
}
