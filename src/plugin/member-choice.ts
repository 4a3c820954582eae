import { Code, ConnectError } from "@connectrpc/connect";
import type { Clock } from "../internal/clock.js";
import { notSentField } from "../model/not-sent.js";
import { pause } from "./back-off.js";
import { isCircuitOpen } from "./interceptors/circuit-open-error.js";
import type { DependencyState } from "./plugin-definition.js";
import type { ResolvedDependency } from "./resolve-definition.js";

/** What the choice is made from. */
export interface MemberChoiceOptions {
  /** The preferred one first. */
  readonly members: readonly [ResolvedDependency, ...ResolvedDependency[]];
  /** Undefined while it is not known. */
  readonly stateOf: (type: string) => DependencyState | undefined;
  /** Whether the circuit of a type lets calls through. */
  readonly isPassable: (type: string) => boolean;
  /** Resolves when the plugin can call; rejects if that takes too long, or `signal` is aborted. */
  readonly ready: (signal: AbortSignal | undefined) => Promise<void>;
  /** Resolves when the states of all members are known, or one of them never will be. */
  readonly told: Promise<void>;
  /** How long calls wait for `told`, in milliseconds, from the first call on. */
  readonly waitMs: number;
  readonly clock: Clock;
  /** Whether calls were made under a runtime id. */
  readonly hasBeen: (runtimeId: string) => boolean;
}

const order = { available: 0, degraded: 1, unknown: 2, unavailable: 3 } as const;

/** Which of several service types calls go to. */
export class MemberChoice {
  readonly #options: MemberChoiceOptions;
  #isSettled = false;
  #settling: Promise<void> | undefined;

  constructor(options: MemberChoiceOptions) {
    this.#options = options;
  }

  /** Whether it is known who is there, as well as it will be. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /**
   * Resolves when it is known who is there, or the wait for it is over, or `signal` is aborted. Whoever begins to call at once, as in `setup`, does not
   * know it yet, and would ask for what nobody provides.
   *
   * @throws ConnectError `unavailable` if the host gives no identity in time
   */
  async settled(signal?: AbortSignal): Promise<void> {
    await this.#options.ready(signal);
    this.#settling ??= this.#settle();
    if (this.#isSettled || signal?.aborted === true) return;
    if (signal === undefined) return this.#settling;
    let leave = (): void => {};
    const left = new Promise<void>((resolve) => {
      leave = resolve;
      signal.addEventListener("abort", leave, { once: true });
    });
    await Promise.race([this.#settling, left]);
    signal.removeEventListener("abort", leave);
  }

  async #settle(): Promise<void> {
    const { told, clock, waitMs } = this.#options;
    const isTold = new AbortController();
    void told.then(() => isTold.abort());
    await pause(clock, waitMs, isTold.signal, true);
    this.#isSettled = true;
  }

  /** All members, the best first; of those that are alike the preferred one. */
  ranked(): readonly ResolvedDependency[] {
    const { members, stateOf, isPassable } = this.#options;
    const rankOf = ({ type }: ResolvedDependency): number =>
      order[stateOf(type)?.state ?? "unknown"] + (isPassable(type) ? 0 : 10);
    return members
      .map((member) => ({ member, rank: rankOf(member) }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ member }) => member);
  }

  /** Whether a call has reached nobody because nobody is there, so that it may go to another member. */
  isNotThere(error: ConnectError): boolean {
    if (isCircuitOpen(error)) return true;
    return (error.code === Code.NotFound || error.code === Code.Unavailable) && this.#isOwn(error.metadata);
  }

  /** {@link isNotThere} for an answer without a description. */
  isRefusal({ status, headers }: Response): boolean {
    return (status === 404 || status === 503) && this.#isOwn(headers);
  }

  // The host names whom it has refused, so that an error which somebody hands on is nobody else's.
  #isOwn(fields: Headers): boolean {
    const refused = fields.get(notSentField);
    return refused !== null && this.#options.hasBeen(refused);
  }
}

/** What the caller is told when no member is there: rather what may pass, otherwise what the best one said. */
export const mostHopeful = (errors: readonly unknown[]): unknown =>
  errors.find((error) => error instanceof ConnectError && error.code === Code.Unavailable) ?? errors[0];
