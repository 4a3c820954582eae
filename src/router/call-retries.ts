import type { RuntimeId } from "../model/catalog.js";
import { type Decision, decide, type Forward } from "./decide.js";
import type { ForwardContext } from "./forward-context.js";
import type { RouteTarget } from "./path.js";
import type { UpstreamFailure } from "./upstream.js";

const firstDelayMs = 20;
const longestDelayMs = 250;

/** How often a call goes to the same provider again after a failure of this kind. */
const triesAfter: Readonly<Record<UpstreamFailure["kind"], number>> = {
  refused: 3,
  // The next try is in the protocol that the provider speaks.
  "speaks-http2": 1,
  // Mostly a kept connection that the provider was just closing. Only calls that may reach it twice come here.
  broken: 1,
  "bad-answer": 0,
  "too-large": 0,
  unreachable: 0,
  untrusted: 0,
  timeout: 0,
  invalid: 0,
};

/** What to do with a call that has certainly not reached its provider, or may reach it twice. */
export type NextTry =
  /** Another provider takes it. `providerFailed` unless the first is only starting, or just had no room. */
  | { readonly kind: "elsewhere"; readonly decision: Forward; readonly providerFailed: boolean }
  /** Dial again then, after deciding anew: the provider may be another incarnation by that time, or gone. */
  | { readonly kind: "later"; readonly delayMs: number; readonly decide: () => Decision }
  | { readonly kind: "give-up" };

/**
 * The tries of one call. One for any provider moves on to those that it has not tried. A provider that has just started
 * is dialled until it has had its time, others as often as the failure is worth.
 */
export class CallRetries {
  #tries = 0;
  readonly #tried = new Set<RuntimeId>();

  constructor(
    readonly context: ForwardContext,
    readonly target: RouteTarget,
    /** Whom the caller avoids. */
    readonly avoided: ReadonlySet<RuntimeId> | undefined,
    readonly upgrade = false,
  ) {}

  after(failure: UpstreamFailure, decision: Forward): NextTry {
    this.#tries++;
    const starting = failure.kind === "unreachable" && this.#isStarting(decision);
    const other = failure.kind === "speaks-http2" ? undefined : this.#elsewhere(decision);
    if (other !== undefined) {
      return { kind: "elsewhere", decision: other, providerFailed: !starting && failure.kind !== "refused" };
    }
    if (!starting && this.#tries > triesAfter[failure.kind]) return { kind: "give-up" };
    const delayMs = Math.min(firstDelayMs * 2 ** (this.#tries - 1), longestDelayMs);
    return { kind: "later", delayMs, decide: () => this.#decide(decision, undefined) };
  }

  /** A provider that this call has not tried, if the caller leaves the choice to the host. */
  #elsewhere(decision: Forward): Forward | undefined {
    this.#tried.add(decision.provider.plugin.runtimeId);
    if (decision.pinned) return undefined;
    const other = this.#decide(decision, this.#tried);
    return other.kind === "forward" && !this.#tried.has(other.provider.plugin.runtimeId) ? other : undefined;
  }

  #decide({ caller }: Forward, exclude: ReadonlySet<RuntimeId> | undefined): Decision {
    const { target, avoided, upgrade } = this;
    const request = { target, caller, avoided, contentLength: undefined, retry: { exclude }, upgrade };
    return decide(request, this.context.view, this.context.decideOptions);
  }

  #isStarting({ provider, registration }: Forward): boolean {
    const startedAt = Math.max(provider.plugin.startedAt, registration.registeredAt);
    return this.context.clock.now() - startedAt < this.context.options.startGraceMs;
  }
}
