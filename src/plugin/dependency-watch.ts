import { Code, ConnectError } from "@connectrpc/connect";
import { ServiceRegistry, ServiceState, type WatchServiceEvent } from "../gen/connectplugin/v1/registry_pb.js";
import { type BackOffOptions, backOffMs } from "../internal/back-off.js";
import type { Clock, Timer } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import { Emitter } from "../internal/emitter.js";
import { hostFeatures } from "../link/host-features.js";
import { pause } from "./back-off.js";
import { type Credential, credentialHeaders, type HostAccessCell, type RoutingAccess } from "./host-access.js";
import { hostClient } from "./host-rpc.js";
import type { DependencyState } from "./plugin-definition.js";
import type { ResolvedDependency } from "./resolve-definition.js";

/** What a watch needs. */
export interface DependencyWatchOptions {
  readonly cell: HostAccessCell;
  readonly clock: Clock;
  readonly backOff: BackOffOptions;
  /** Resolves when it is known how the host is reached: the watch should not begin on the longer way. */
  readonly whenSettled: () => Promise<void>;
  /** Told when the watch broke in a way that a lost host or a dead identity would explain. */
  readonly suspect: (used: Credential) => void;
  /** Told when the host has said that it does not know who watches. */
  readonly refused: (used: Credential) => unknown;
  /** Called for every message of the host about the type, also if its state is the same. */
  readonly onNews: () => void;
  readonly onListenerError: (error: unknown) => void;
  /** Called when the type has become unavailable, after all listeners were told. */
  readonly onLost: () => void;
}

const states = new Map<ServiceState, DependencyState["state"]>([
  [ServiceState.AVAILABLE, "available"],
  [ServiceState.DEGRADED, "degraded"],
  [ServiceState.UNAVAILABLE, "unavailable"],
]);

/** The state of every dependency while there is no host: known by its identity. */
export const withoutHost: DependencyState = Object.freeze({
  state: "unavailable",
  reason: "no connection to the host",
});

const heartbeatIntervalMs = 10_000;

/** Follows the state of one dependency until it is stopped; opens the watch again whenever it breaks. */
export class DependencyWatch {
  readonly #dependency: ResolvedDependency;
  readonly #options: DependencyWatchOptions;
  readonly #changes: Emitter<{ change: DependencyState }>;
  readonly #told = deferred();
  #state: DependencyState | undefined;

  constructor(dependency: ResolvedDependency, options: DependencyWatchOptions) {
    this.#dependency = dependency;
    this.#options = options;
    this.#changes = new Emitter(options.onListenerError);
  }

  /** Calls `listener` at once if the state is known, and after each change. */
  onChange(listener: (state: DependencyState) => void): () => void {
    if (this.#state !== undefined) listener(this.#state);
    return this.#changes.on("change", listener);
  }

  /** Resolves when the state is known for the first time, or will never be. Never rejects. */
  get told(): Promise<void> {
    return this.#told.promise;
  }

  /** Returns when `signal` is aborted, or the host has no watches; never throws. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#run(signal);
    this.#told.resolve();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { cell, backOff, suspect, refused, whenSettled } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      const access = await cell.forRouting(signal).catch(() => undefined);
      if (access === undefined) return;
      await whenSettled();
      try {
        await this.#follow(access, signal, () => {
          failures = 0;
        });
      } catch (error) {
        if (signal.aborted) return;
        // Hosts without watches exist; the state then stays unknown.
        const { code } = ConnectError.from(error);
        if (code === Code.Unimplemented) return;
        if (code === Code.Unauthenticated) refused(access.routing);
        else suspect(access.routing);
      }
      failures += 1;
      // One broken stream is no news of the dependency: the next one usually stands at once.
      if (failures > 1) this.#publish(withoutHost);
      // Fresh access is a good reason to try at once.
      if (cell.current === access) await this.#rest(backOffMs(failures, backOff), signal);
    }
  }

  async #rest(delayMs: number, signal: AbortSignal): Promise<void> {
    const rest = new AbortController();
    const end = (): void => rest.abort();
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    this.#options.cell.nextChange(rest.signal).then(end, end);
    await pause(this.#options.clock, delayMs, rest.signal);
    end();
    signal.removeEventListener("abort", end);
  }

  async #follow(
    { connection, routing, features }: RoutingAccess,
    signal: AbortSignal,
    onEvent: () => void,
  ): Promise<void> {
    const { type, minVersion } = this.#dependency;
    const registry = hostClient(ServiceRegistry, connection, credentialHeaders(routing));
    const detailed = features.has(hostFeatures.watchDetails);
    const silence = new AbortController();
    const stop = (): void => silence.abort();
    signal.addEventListener("abort", stop, { once: true });
    let timer: Timer | undefined;
    const listenOn = (): void => {
      timer?.cancel();
      if (detailed) timer = this.#options.clock.after(3 * heartbeatIntervalMs, stop);
    };
    try {
      listenOn();
      const details = detailed ? { minVersion, heartbeatIntervalMs } : {};
      for await (const event of registry.watchService({ serviceType: type, ...details }, { signal: silence.signal })) {
        listenOn();
        onEvent();
        if (!event.heartbeat) this.#take(event);
      }
    } finally {
      timer?.cancel();
      signal.removeEventListener("abort", stop);
    }
  }

  #take(event: WatchServiceEvent): void {
    this.#options.onNews();
    const state = states.get(event.state);
    if (state !== undefined) this.#publish({ state, reason: event.reason });
  }

  #publish(state: DependencyState): void {
    if (this.#state?.state === state.state && this.#state.reason === state.reason) return;
    this.#state = Object.freeze(state);
    this.#changes.emit("change", this.#state);
    this.#told.resolve();
    if (state.state === "unavailable") this.#options.onLost();
  }
}
