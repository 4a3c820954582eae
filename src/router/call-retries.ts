import type { RuntimeId } from "../model/catalog.js";
import { type Decision, decide, type Forward } from "./decide.js";
import type { ForwardContext } from "./forward-context.js";
import type { RouteTarget } from "./path.js";
import type { UpstreamFailure } from "./upstream.js";

const firstDelayMs = 20;
const longestDelayMs = 250;
const maxRefusedTries = 3;

/** What to do with a call that has certainly not reached its provider. */
export type NextTry =
  /** Another provider takes it. `providerFailed` unless the first is only starting, or just had no room. */
  | { readonly kind: "elsewhere"; readonly decision: Forward; readonly providerFailed: boolean }
  /** Dial again then, after deciding anew: the provider may be another incarnation by that time, or gone. */
  | { readonly kind: "later"; readonly delayMs: number; readonly decide: () => Decision }
  | { readonly kind: "give-up" };

/**
 * The tries of one call. One for any provider moves on to those that it has not tried. A provider that has just started
 * is dialled until it has had its time, one that refused a stream a few times.
 */
export class CallRetries {
  #tries = 0;
  readonly #tried = new Set<RuntimeId>();

  constructor(
    readonly context: ForwardContext,
    readonly target: RouteTarget,
  ) {}

  after(failure: UpstreamFailure, decision: Forward): NextTry {
    const { runtimeId } = decision.provider.plugin;
    const starting = failure.kind === "unreachable" && this.#isStarting(decision);
    this.#tries++;
    this.#tried.add(runtimeId);
    if (!decision.pinned) {
      const other = this.#decide(decision, this.#tried);
      if (other.kind === "forward" && !this.#tried.has(other.provider.plugin.runtimeId)) {
        return { kind: "elsewhere", decision: other, providerFailed: !starting && failure.kind !== "refused" };
      }
    }
    const again = starting || (failure.kind === "refused" && this.#tries <= maxRefusedTries);
    if (!again) return { kind: "give-up" };
    const delayMs = Math.min(firstDelayMs * 2 ** (this.#tries - 1), longestDelayMs);
    return { kind: "later", delayMs, decide: () => this.#decide(decision, undefined) };
  }

  #decide({ caller }: Forward, exclude: ReadonlySet<RuntimeId> | undefined): Decision {
    const request = { target: this.target, caller, contentLength: undefined, retry: { exclude } };
    return decide(request, this.context.view, this.context.decideOptions);
  }

  #isStarting({ provider, registration }: Forward): boolean {
    const startedAt = Math.max(provider.plugin.startedAt, registration.registeredAt);
    return this.context.clock.now() - startedAt < this.context.options.startGraceMs;
  }
}
