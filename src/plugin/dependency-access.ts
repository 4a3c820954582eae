import type { DescService } from "@bufbuild/protobuf";
import { type Client, Code, type Interceptor } from "@connectrpc/connect";
import type { Clock } from "../internal/clock.js";
import { notSentField } from "../model/not-sent.js";
import type { DependencyCalls } from "./dependency-calls.js";
import { dependencyClient, dependencyFetch } from "./dependency-client.js";
import type { DependencyGroup } from "./dependency-group.js";
import type { GroupState } from "./group-state.js";
import type { CircuitState } from "./interceptors/circuit.js";
import type { CircuitEvent } from "./interceptors/circuit-breaker.js";
import { type Resilience, resilienceOf } from "./interceptors/resilience.js";
import type { ResolvedDependency } from "./resolve-definition.js";

/** What the calls of one entry of `requires` need. */
export interface DependencyAccessOptions {
  readonly group: DependencyGroup;
  readonly state: GroupState;
  readonly calls: DependencyCalls;
  /** Those of the plugin, around all others. */
  readonly interceptors: readonly Interceptor[];
  readonly clock: Clock;
  /** Whether calls were made under a runtime id. */
  readonly hasBeen: (runtimeId: string) => boolean;
  readonly onCircuit: (type: string, event: CircuitEvent) => void;
}

// What the host refuses now and may let pass soon. It does not know a plugin whose host was restarted until that one has shaken hands.
const passing: ReadonlySet<Code> = new Set([Code.Unavailable, Code.ResourceExhausted, Code.Unauthenticated]);

const order = { available: 0, degraded: 1, unknown: 2, unavailable: 3 } as const;

/** Clients and requests for one entry of `requires`. Its circuit and its retry budget are for all clients together. */
export class DependencyAccess {
  readonly #options: DependencyAccessOptions;
  readonly #resilience: Resilience;

  constructor(options: DependencyAccessOptions) {
    this.#options = options;
    const { group, state, clock, hasBeen } = options;
    this.#resilience = resilienceOf(group.resilience, `requires.${group.name}.resilience`, {
      clock,
      keyOf: () => this.#chosen().type,
      notSent: (error) => {
        // The host names whom it has refused, so that an error which somebody hands on is nobody else's.
        const refused = error.metadata.get(notSentField);
        if (refused === null || !hasBeen(refused)) return false;
        // Who was there may come back, or another type does.
        return (
          passing.has(error.code) || (error.code === Code.NotFound && (state.wasThere || group.members.length > 1))
        );
      },
    });
    this.#resilience.circuit?.onChange((event) => options.onCircuit(event.key || group.name, event));
    for (const { type } of group.members) this.#retestWhenBack(type);
  }

  client<Desc extends DescService>(service: Desc): Client<Desc> {
    const { group, calls, interceptors } = this.#options;
    const all = [...interceptors, ...group.interceptors, ...this.#resilience.interceptors];
    return dependencyClient(service, () => this.#chosen(), calls, all);
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return dependencyFetch(this.#chosen(), this.#options.calls, path, init);
  }

  /** The worst that is known of a circuit of this dependency. */
  get circuit(): CircuitState {
    const states = this.#options.group.members.map(({ type }) => this.#resilience.circuit?.stateOf(type) ?? "closed");
    return states.find((state) => state === "open") ?? states.find((state) => state === "half-open") ?? "closed";
  }

  /** The service type that a call goes to now: the first of the best ones. */
  #chosen(): ResolvedDependency {
    const { group, state } = this.#options;
    const [first, ...others] = group.members;
    if (others.length === 0) return first;
    const rankOf = ({ type }: ResolvedDependency): number => {
      const isPassable = this.#resilience.circuit?.isPassable(type) ?? true;
      return order[state.stateOf(type)?.state ?? "unknown"] + (isPassable ? 0 : 10);
    };
    return others.reduce((best, one) => (rankOf(one) < rankOf(best) ? one : best), first);
  }

  #retestWhenBack(type: string): void {
    const { circuit } = this.#resilience;
    if (circuit === undefined) return;
    let was: string | undefined;
    this.#options.state.onMember(type, ({ state }) => {
      if (was === "unavailable" && state !== "unavailable") circuit.retest(type);
      was = state;
    });
  }
}
