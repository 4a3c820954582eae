import type { DescMessage } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import {
  Code,
  ConnectError,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import { setTimeoutOf, timeoutOf } from "../../http/timeout-header.js";
import { pause } from "../back-off.js";
import { isCircuitOpen } from "./circuit-open-error.js";
import { Outgoing } from "./outgoing.js";
import { RetryBudget } from "./retry-budget.js";
import { retryHint } from "./retry-hint.js";
import { type ResolvedRetry, type RetryOptions, resolveRetry } from "./retry-options.js";
import { oneMessage, peeked, tellingStart } from "./stream-start.js";
import { isTooLarge, isUnsent } from "./unsent.js";

type Request = UnaryRequest | StreamRequest;

/**
 * Whether a failure says that its call reached no provider, and that another attempt may. Connect has no word for that; hosts of
 * plugins have one, which is good for one caller only.
 */
export type NotSent = (error: ConnectError) => boolean;

const nobodySays: NotSent = () => false;

/**
 * Makes calls again that failed. Which: those whose method has the `idempotency_level` NO_SIDE_EFFECTS or IDEMPOTENT, or of
 * which `isRepeatable` says so, after one of `codes`; any that certainly reached no provider; and unless `codes` is given, after
 * `resource_exhausted` those that were told when to come back. Server streams are made again before their first message
 * only, other streams only if nothing of what they send was taken. Never those that fail by themselves: a request that cannot be
 * written or is too large, or a rate limit of this program; they cost no budget.
 *
 * Waits grow, half of each is random, none is shorter than the failure asks for, and no attempt is made after the call's
 * deadline: the last failure is thrown instead. Each attempt tells the provider what time is left.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the option
 */
export const retry = (options: RetryOptions = {}): Interceptor => retryWith(resolveRetry(options));

/** {@link retry} with checked options, for a caller who knows how its host says that a call was not sent. */
export function retryWith(options: ResolvedRetry, notSent: NotSent = nobodySays): Interceptor {
  const budget = options.budget === undefined ? undefined : new RetryBudget(options.budget);
  return (next) => (request) => {
    const attempts = new Attempts(options, budget, notSent, request);
    if (!request.stream) {
      const outgoing = new Outgoing(request);
      return attempts.run(
        (attempt) => next(attempt(request)) as Promise<UnaryResponse>,
        (error) => !outgoing.isUnwritable(error),
      );
    }
    if (request.method.methodKind === "server_streaming") return retryServerStream(attempts, request, next);
    let taken = false;
    const onStart = (): void => {
      taken = true;
    };
    return attempts.run(
      (attempt) => {
        const message = tellingStart(request.message as AsyncIterable<never>, onStart);
        return next(attempt({ ...request, message } as Request)) as Promise<StreamResponse>;
      },
      () => !taken,
    );
  };
}

/** What such a method sends is one message, which can be sent again. */
async function retryServerStream(
  attempts: Attempts,
  request: StreamRequest<DescMessage, DescMessage>,
  next: (request: Request) => Promise<UnaryResponse | StreamResponse>,
): Promise<StreamResponse> {
  const messages = await oneMessage(request.message);
  const outgoing = new Outgoing(request);
  return attempts.run(
    async (attempt) => {
      const response = await next(attempt({ ...request, message: outgoing.watched(messages()) } as Request));
      // Most failures of a stream come where its first message would.
      return peeked(response as StreamResponse);
    },
    (error) => !outgoing.isUnwritable(error),
  );
}

/** The attempts of one call. */
class Attempts {
  readonly #options: ResolvedRetry;
  readonly #budget: RetryBudget | undefined;
  readonly #notSent: NotSent;
  readonly #request: Request;
  readonly #timeoutMs: number | undefined;
  readonly #startedAt: number;
  #count = 0;

  constructor(options: ResolvedRetry, budget: RetryBudget | undefined, notSent: NotSent, request: Request) {
    this.#options = options;
    this.#budget = budget;
    this.#notSent = notSent;
    this.#request = request;
    this.#timeoutMs = timeoutOf(request.header);
    this.#startedAt = options.clock.monotonic();
  }

  async run<R>(
    send: (attempt: (request: Request) => Request) => Promise<R>,
    mayRepeat: (error: ConnectError) => boolean,
  ): Promise<R> {
    for (;;) {
      this.#count += 1;
      try {
        const response = await send(this.#attempt);
        this.#budget?.succeeded();
        return response;
      } catch (error) {
        await this.#rest(error, mayRepeat);
      }
    }
  }

  /** Each attempt has fields of its own, which say what time is left. */
  readonly #attempt = (request: Request): Request => {
    const header = new Headers(request.header);
    const leftMs = this.#leftMs();
    if (leftMs !== undefined && this.#count > 1) setTimeoutOf(header, leftMs);
    return { ...request, header };
  };

  /** Returns when the next attempt is due. @throws what `failure` was, if there is to be none */
  async #rest(failure: unknown, mayRepeat: (error: ConnectError) => boolean): Promise<void> {
    const { signal, method } = this.#request;
    const error = ConnectError.from(failure);
    const delayMs = signal.aborted ? undefined : this.#delayAfter(error, mayRepeat);
    if (delayMs === undefined) throw failure;
    const { clock, onRetry } = this.#options;
    try {
      onRetry({ method, attempts: this.#count, delayMs, error });
    } catch {
      // It is for logs.
    }
    await pause(clock, delayMs, signal, true);
    if (signal.aborted) throw ConnectError.from(getAbortSignalReason(signal), Code.Canceled);
  }

  #delayAfter(error: ConnectError, mayRepeat: (error: ConnectError) => boolean): number | undefined {
    const { maxAttempts, firstDelayMs, longestDelayMs, random } = this.#options;
    const hintMs = retryHint(error);
    if (!this.#isWorthIt(error, hintMs !== undefined) || !mayRepeat(error)) return undefined;
    const budgetLeft = this.#budget?.failed() ?? true;
    if (!budgetLeft || this.#count >= maxAttempts || hintMs === "never") return undefined;
    if (hintMs !== undefined && hintMs > longestDelayMs) return undefined;
    const halfMs = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(this.#count - 1, 30)) / 2;
    // Random on top of what was asked for, too: it was asked of everybody in the same moment.
    const delayMs = Math.max(halfMs, hintMs ?? 0) + halfMs * random();
    const leftMs = this.#leftMs();
    return leftMs !== undefined && delayMs >= leftMs ? undefined : delayMs;
  }

  #isWorthIt(error: ConnectError, isInvited: boolean): boolean {
    // A breaker inside of this says that nobody should ask now.
    if (isCircuitOpen(error)) return false;
    // Nobody was asked, and what it was does not change; a limit of this program is there to be kept.
    if (isUnsent(this.#request, error) || isTooLarge(error)) return false;
    if (this.#notSent(error)) return true;
    const when = this.#options.codes.get(error.code);
    return (when === "always" || (when === "invited" && isInvited)) && this.#isRepeatable();
  }

  #isRepeatable(): boolean {
    const { method, header } = this.#request;
    return method.idempotency === MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN || method.idempotency === undefined
      ? this.#options.isRepeatable({ method, header })
      : true;
  }

  #leftMs(): number | undefined {
    if (this.#timeoutMs === undefined) return undefined;
    return this.#timeoutMs - (this.#options.clock.monotonic() - this.#startedAt);
  }
}
