import { PluginHostError } from "../errors.js";
import { endsWithin } from "../internal/ends-within.js";
import { addressKey } from "../model/address.js";
import type { RuntimeId } from "../model/catalog.js";
import { showAbsent } from "./absent-plugin.js";
import { addPlugin } from "./add-plugin.js";
import type { StepLimits } from "./limits.js";
import type { LivePlugin } from "./live-plugin.js";
import { missingDependency } from "./missing-dependency.js";
import { Operation } from "./operation.js";
import type { Impact } from "./ports.js";
import { removePlugin } from "./remove-plugin.js";
import { replacePlugin } from "./replace-plugin.js";
import { restartPlugin } from "./restart-plugin.js";
import type { StartContext, StartSpec } from "./start-spec.js";
import { StopBudget } from "./stop-budget.js";
import { stopLevels } from "./stop-levels.js";
import type { SupervisionSpec } from "./supervision-spec.js";
import { type Readiness, Supervisor } from "./supervisor.js";

/** What a removal is told. */
export interface RemoveRequest {
  readonly reason: string;
  readonly limits: StepLimits;
  readonly signal: AbortSignal | undefined;
}

type Busy =
  | { readonly kind: "remove"; readonly done: Promise<Impact> }
  | { readonly kind: "replace"; readonly done: Promise<LivePlugin> };

/** Runs operations, several at once, and keeps those apart that exclude each other. */
export class Lifecycle {
  readonly #context: StartContext;
  readonly #busy = new Map<RuntimeId, Busy>();
  readonly #reserved = new Set<string>();
  readonly #running = new Set<Promise<unknown>>();

  /** @param random a number from 0 up to, and without, 1 */
  constructor(context: Omit<StartContext, "stopBudget" | "supervisor">, random: () => number = Math.random) {
    const { ports, directory } = context;
    const { clock, emit, dependencies } = ports;
    const supervisor = new Supervisor({
      clock,
      random,
      emit,
      disable: (plugin) => directory.disable(plugin),
      isBlocked: (plugin) => missingDependency(dependencies, plugin.requires, plugin.runtimeId) !== undefined,
      restart: ({ spec, signal, ...rest }) =>
        this.#start("restart", spec, signal, (operation) =>
          restartPlugin(this.#context, operation, { ...spec, ...rest }),
        ),
    });
    this.#context = { ...context, stopBudget: new StopBudget(clock), supervisor };
  }

  /** Whether `stop` was called. */
  get isStopping(): boolean {
    return this.#context.stopBudget.stopping.aborted;
  }

  /** Adds one plugin. @throws PluginHostError with `step`, `HOST_STOPPED` or `ENDPOINT_IN_USE` */
  add(spec: StartSpec, signal: AbortSignal | undefined): Promise<LivePlugin> {
    return this.#start("add", spec, signal, (operation) => addPlugin(this.#context, operation, spec));
  }

  /** Replaces a visible plugin. @throws PluginHostError as `add`, `PLUGIN_NOT_FOUND`, `OPERATION_CONFLICT` */
  async replace(
    runtimeId: RuntimeId,
    spec: StartSpec & { readonly allowMissingServices: boolean },
    signal: AbortSignal | undefined,
  ): Promise<LivePlugin> {
    const before = this.#context.directory.committed(runtimeId);
    const busy = this.#busy.get(before.runtimeId);
    if (busy !== undefined) throw conflict(before.runtimeId, busy);
    const done = this.#instead(before, () =>
      this.#start("replace", spec, signal, (operation) => replacePlugin(this.#context, operation, { ...spec, before })),
    );
    return this.#occupy(before.runtimeId, { kind: "replace", done }, done);
  }

  /** Removes a visible plugin. Who asks again while it goes on gets the same answer. */
  async remove(runtimeId: RuntimeId, request: RemoveRequest): Promise<Impact> {
    const busy = this.#busy.get(runtimeId);
    if (busy?.kind === "remove") return busy.done;
    this.#assertRunning();
    const plugin = this.#context.directory.committed(runtimeId);
    if (plugin.runtimeId !== runtimeId) return this.remove(plugin.runtimeId, request);
    if (busy !== undefined) throw conflict(runtimeId, busy);
    const { clock, emit } = this.#context.ports;
    const operation = new Operation({ kind: "remove", clock, emit, signal: request.signal });
    const { reason, limits } = request;
    const done = this.#track(
      this.#instead(plugin, () => removePlugin(this.#context, operation, { plugin, reason, limits })),
    );
    return this.#occupy(runtimeId, { kind: "remove", done }, done);
  }

  /**
   * Starts a plugin again at once that waits for it, is quarantined or has ended. One that runs is left alone.
   *
   * @throws PluginHostError `PLUGIN_NOT_FOUND`, `OPERATION_CONFLICT`; as `add` if it does not start
   */
  async release(runtimeId: RuntimeId): Promise<LivePlugin> {
    this.#assertRunning();
    return this.#context.supervisor.release(this.#context.directory.committed(runtimeId));
  }

  /** Shows a plugin that failed to start, and tries again. @throws PluginHostError `HOST_STOPPED` */
  addAbsent(spec: StartSpec, error: unknown): LivePlugin {
    this.#assertRunning();
    return showAbsent(this.#context, spec, error);
  }

  /** How a plugin is supervised; undefined if there is none, or it is not. */
  termsOf(runtimeId: RuntimeId): SupervisionSpec | undefined {
    const plugin = this.#context.directory.latest(runtimeId);
    return plugin === undefined ? undefined : this.#context.supervisor.termsOf(plugin);
  }

  /** Providers of these service types have changed. */
  typesChanged(types: ReadonlySet<string>): void {
    this.#context.supervisor.typesChanged(types);
  }

  /** Whether plugins that the host needs are down. */
  readiness(): Readiness {
    return this.#context.supervisor.readiness();
  }

  /**
   * Rolls back or finishes what is under way, then stops plugins level by level within `budgetMs`: what the host
   * started is stopped, what came by itself or was there before is let go.
   */
  async stop(levels: () => readonly (readonly RuntimeId[])[], budgetMs: number): Promise<void> {
    const { directory, ports, stopBudget, supervisor } = this.#context;
    directory.stopAccepting();
    supervisor.close();
    stopBudget.begin(budgetMs, new PluginHostError("HOST_STOPPED", "the host is stopping"));
    await endsWithin(ports.clock, budgetMs, Promise.allSettled(this.#running));
    await stopLevels(this.#context, [...levels()].reverse());
    stopBudget.close();
    if (this.#running.size > 0) {
      const error = new PluginHostError("STEP_TIMEOUT", `${this.#running.size} operations were still going on`);
      ports.emit("warning", { message: `stopping took longer than ${budgetMs} ms`, error });
    }
  }

  #start<T>(
    kind: "add" | "replace" | "restart",
    spec: StartSpec,
    signal: AbortSignal | undefined,
    run: (operation: Operation) => Promise<T>,
  ): Promise<T> {
    this.#assertRunning();
    const { address } = spec.launcher;
    const key = address === undefined ? undefined : addressKey(address);
    if (key !== undefined) this.#reserve(key);
    const { clock, emit } = this.#context.ports;
    const controller = new AbortController();
    const forward = (source: AbortSignal) => (): void => controller.abort(source.reason);
    const sources = [this.#context.stopBudget.stopping, ...(signal === undefined ? [] : [signal])];
    const unlisten = sources.map((source) => {
      const listener = forward(source);
      if (source.aborted) listener();
      source.addEventListener("abort", listener, { once: true });
      return () => source.removeEventListener("abort", listener);
    });
    const operation = new Operation({ kind, clock, emit, signal: controller.signal });
    return this.#track(
      run(operation).finally(() => {
        for (const off of unlisten) off();
        if (key !== undefined) this.#reserved.delete(key);
      }),
    );
  }

  /** Two operations must not start the same program, nor one what a plugin is already. */
  #reserve(key: string): void {
    const known = this.#context.directory.at(key).find(({ origin }) => origin !== "self-registered");
    if (known !== undefined || this.#reserved.has(key)) {
      const owner = known === undefined ? "another operation" : known.runtimeId;
      throw new PluginHostError("ENDPOINT_IN_USE", `the endpoint ${key} belongs to ${owner}; a program is added once`);
    }
    this.#reserved.add(key);
  }

  #assertRunning(): void {
    if (this.isStopping) throw new PluginHostError("HOST_STOPPED", "the host has stopped or is stopping");
  }

  /** Does something to a plugin in the place of starting it again, if that is what is done to it. */
  #instead<T>(plugin: LivePlugin, run: () => Promise<T>): Promise<T> {
    const hold = this.#context.supervisor.hold(plugin);
    const { settled } = hold;
    const done = settled === undefined ? (async () => run())() : settled.then(run);
    done.then(hold.resume, hold.resume);
    return done;
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work);
    const forget = (): void => void this.#running.delete(work);
    work.then(forget, forget);
    return work;
  }

  #occupy<T>(runtimeId: RuntimeId, busy: Busy, work: Promise<T>): Promise<T> {
    this.#busy.set(runtimeId, busy);
    const free = (): void => {
      if (this.#busy.get(runtimeId) === busy) this.#busy.delete(runtimeId);
    };
    work.then(free, free);
    return work;
  }
}

function conflict(runtimeId: RuntimeId, busy: Busy): PluginHostError {
  const verb = busy.kind === "remove" ? "removed" : "replaced";
  return new PluginHostError("OPERATION_CONFLICT", `${runtimeId} is being ${verb}; wait for that to end`, {
    details: { runtimeId, operation: busy.kind },
  });
}
