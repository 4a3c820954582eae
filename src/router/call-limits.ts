import type { ServerExchange } from "../http/exchange.js";
import type { Timer } from "../internal/clock.js";
import type { CallAccount } from "./call-account.js";
import { callerDeadlineMs } from "./deadline.js";
import type { ForwardContext } from "./forward-context.js";
import { IdleWatch } from "./idle-watch.js";
import { type CallFailure, failureOf } from "./protocol-error.js";

/** A call that a {@link CallLimits} watches. */
export interface LimitedCall {
  readonly exchange: Pick<ServerExchange, "head">;
  /** Bytes that have moved so far, in both directions. */
  readonly moved: number;
  /** A limit is exceeded. `isLate` if it is the caller's own deadline. Called once. */
  exceeded(failure: CallFailure, isLate: boolean): void;
}

/** What a call may take in time as a whole: its caller's deadline, and how long nothing may move on it. */
export class CallLimits {
  readonly #deadline: Timer | undefined;
  readonly #idle: IdleWatch | undefined;

  constructor({ clock, idleStreams, options }: ForwardContext, account: CallAccount, call: LimitedCall) {
    if (idleStreams !== undefined) {
      const { idleStreamMs, retryAfterMs } = options;
      const reason = `nothing moved in either direction for ${idleStreamMs} ms`;
      const exceeded = (): void => call.exceeded(failureOf("unavailable", 504, reason, retryAfterMs), false);
      this.#idle = new IdleWatch(idleStreams, () => call.moved, exceeded);
    }
    const deadlineMs = callerDeadlineMs(account.protocol, call.exchange.head);
    if (deadlineMs === undefined) return;
    // The call may have waited for its turn.
    this.#deadline = clock.after(deadlineMs - account.elapsedMs(), () => {
      const reason = `the caller's deadline of ${deadlineMs} ms is over`;
      call.exceeded(failureOf("deadline_exceeded", 504, reason), true);
    });
  }

  stop(): void {
    this.#deadline?.cancel();
    this.#idle?.stop();
  }
}
