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
import { anyMember, fetchFromAny, memberClient, memberOf } from "./member-calls.js";
import { MemberChoice } from "./member-choice.js";

/** What the calls of one entry of `requires` need. */
export interface DependencyAccessOptions {
  readonly group: DependencyGroup;
  readonly state: GroupState;
  readonly calls: DependencyCalls;
  /** Resolves when the states of all members are known, or one of them never will be. */
  readonly told: Promise<void>;
  /** How long calls wait for that, in milliseconds. */
  readonly waitMs: number;
  /** Those of the plugin, around all others. */
  readonly interceptors: readonly Interceptor[];
  readonly clock: Clock;
  /** Whether calls were made under a runtime id. */
  readonly hasBeen: (runtimeId: string) => boolean;
  readonly onCircuit: (type: string, event: CircuitEvent) => void;
}

// What the host refuses now and may let pass soon. It does not know a plugin whose host was restarted until that one has shaken hands.
const passing: ReadonlySet<Code> = new Set([Code.Unavailable, Code.ResourceExhausted, Code.Unauthenticated]);

/** Clients and requests for one entry of `requires`. Its circuit and its retry budget are for all clients together. */
export class DependencyAccess {
  readonly #options: DependencyAccessOptions;
  readonly #resilience: Resilience;
  readonly #choice: MemberChoice;

  constructor(options: DependencyAccessOptions) {
    this.#options = options;
    const { group, state, calls, told, waitMs, clock, hasBeen } = options;
    this.#choice = new MemberChoice({
      members: group.members,
      stateOf: (type) => state.stateOf(type),
      isPassable: (type) => this.#resilience.circuit?.isPassable(type) ?? true,
      ready: (signal) => calls.ready(signal),
      told,
      waitMs,
      clock,
      hasBeen,
    });
    this.#resilience = resilienceOf(group.resilience, `requires.${group.name}.resilience`, {
      clock,
      keyOf: ({ contextValues }) => memberOf(contextValues, group.members[0]).type,
      attempt: group.members.length > 1 ? anyMember(this.#choice, clock) : undefined,
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
    return group.members.length === 1
      ? dependencyClient(service, group.members[0], calls, all)
      : memberClient(service, group.members, calls, all);
  }

  async fetch(path: string, init?: RequestInit): Promise<Response> {
    const { group, calls } = this.#options;
    if (group.members.length === 1) return dependencyFetch(group.members[0], calls, path, init);
    return fetchFromAny(this.#choice, calls, path, init);
  }

  /** The worst that is known of a circuit of this dependency. */
  get circuit(): CircuitState {
    const states = this.#options.group.members.map(({ type }) => this.#resilience.circuit?.stateOf(type) ?? "closed");
    return states.find((state) => state === "open") ?? states.find((state) => state === "half-open") ?? "closed";
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
