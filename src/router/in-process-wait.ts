import { type Principal, principalId } from "../model/principal.js";
import type { CallAccount } from "./call-account.js";
import { type DecideRequest, type Decision, decide, type Forward, type Refuse } from "./decide.js";
import { type InProcessContext, tellOf } from "./in-process-call.js";
import { failureOf } from "./protocol-error.js";
import type { ProviderQueue, WaitingCall } from "./provider-queue.js";

/** What an {@link InProcessWait} is made of. */
export interface InProcessWaitParts {
  readonly context: InProcessContext;
  readonly queue: ProviderQueue;
  readonly account: CallAccount;
  /** As it was first decided on. Its caller is a known one: others are refused before anybody is busy. */
  readonly asked: DecideRequest;
  readonly forward: (decision: Forward) => void;
  readonly refuse: (refusal: Refuse) => void;
}

/** A call in the host's process that waits for a provider to have room. */
export class InProcessWait implements WaitingCall {
  readonly callerKey: string;
  readonly serviceType: string;
  readonly pinned: boolean;
  readonly #parts: InProcessWaitParts;
  readonly #asked: DecideRequest;

  constructor(parts: InProcessWaitParts) {
    const { target, caller } = parts.asked;
    this.#parts = parts;
    this.#asked = { ...parts.asked, waited: true };
    this.callerKey = principalId(caller as Principal);
    this.serviceType = target.kind === "target" ? target.serviceType : "";
    this.pinned = target.kind === "target" && target.runtimeId !== undefined;
  }

  decide(): Decision {
    const { forward } = this.#parts.context;
    return decide(this.#asked, forward.view, forward.decideOptions);
  }

  forward(decision: Forward): void {
    this.#parts.forward(decision);
  }

  refuse(refusal: Refuse): void {
    this.#parts.refuse(refusal);
  }

  /** The caller does not wait any longer. */
  leave(why: "caller-gone" | "expired", timeoutMs: number | undefined): void {
    const { context, queue, account } = this.#parts;
    queue.leave(this);
    if (why === "caller-gone") {
      account.failed(failureOf("canceled", 499, "the caller went away"), "caller-gone");
    } else {
      const reason = `the caller's deadline of ${timeoutMs} ms was over before a provider had room`;
      account.failed(failureOf("deadline_exceeded", 504, reason), "refused");
      account.status = account.protocol === "connect-unary" ? 504 : 200;
    }
    tellOf(context, account);
  }
}
