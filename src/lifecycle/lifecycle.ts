import { PluginHostError } from "../errors.js";
import { deferred } from "../internal/deferred.js";
import { addressKey } from "../model/address.js";
import type { RuntimeId } from "../model/catalog.js";
import { addPlugin } from "./add-plugin.js";
import { drain } from "./drain.js";
import type { StepLimits } from "./limits.js";
import type { LivePlugin } from "./live-plugin.js";
import { Operation } from "./operation.js";
import type { StartContext, StartSpec } from "./plugin-start.js";
import type { Impact } from "./ports.js";
import { removePlugin } from "./remove-plugin.js";
import { replacePlugin } from "./replace-plugin.js";
import { shutDown } from "./shut-down.js";
import { StopBudget } from "./stop-budget.js";

/** What a removal is told. */
export interface RemoveRequest {
  readonly reason: string;
  readonly limits: StepLimits;
  readonly signal: AbortSignal | undefined;
}

// What a plugin's end may take beyond its grace, when connections are cut.
const cutOffMs = 1_000;

type Busy =
  | { readonly kind: "remove"; readonly done: Promise<Impact> }
  | { readonly kind: "replace"; readonly done: Promise<LivePlugin> };

/** Runs operations, several at once, and keeps those apart that exclude each other. */
export class Lifecycle {
  readonly #context: StartContext;
  readonly #busy = new Map<RuntimeId, Busy>();
  readonly #reserved = new Set<string>();
  readonly #running = new Set<Promise<unknown>>();

  constructor(context: Omit<StartContext, "stopBudget">) {
    this.#context = { ...context, stopBudget: new StopBudget(context.ports.clock) };
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
    const busy = this.#busy.get(runtimeId);
    if (busy !== undefined) throw conflict(runtimeId, busy);
    const done = this.#start("replace", spec, signal, (operation) =>
      replacePlugin(this.#context, operation, { ...spec, before }),
    );
    return this.#occupy(runtimeId, { kind: "replace", done }, done);
  }

  /** Removes a visible plugin. Who asks again while it goes on gets the same answer. */
  async remove(runtimeId: RuntimeId, request: RemoveRequest): Promise<Impact> {
    const busy = this.#busy.get(runtimeId);
    if (busy?.kind === "remove") return busy.done;
    this.#assertRunning();
    const plugin = this.#context.directory.committed(runtimeId);
    if (busy !== undefined) throw conflict(runtimeId, busy);
    const { clock, emit } = this.#context.ports;
    const operation = new Operation({ kind: "remove", clock, emit, signal: request.signal });
    const { reason, limits } = request;
    const done = this.#track(removePlugin(this.#context, operation, { plugin, reason, limits }));
    return this.#occupy(runtimeId, { kind: "remove", done }, done);
  }

  /**
   * Rolls back or finishes what is under way, then stops plugins level by level within `budgetMs`: what the host
   * started is stopped, what came by itself or was there before is let go.
   */
  async stop(levels: () => readonly (readonly RuntimeId[])[], budgetMs: number): Promise<void> {
    const { directory, ports, stopBudget } = this.#context;
    directory.stopAccepting();
    stopBudget.begin(budgetMs, new PluginHostError("HOST_STOPPED", "the host is stopping"));
    await this.#runningEnds(budgetMs);
    for (const level of [...levels()].reverse()) {
      await Promise.all(level.map((runtimeId) => this.#letGo(runtimeId)));
    }
    stopBudget.close();
    if (this.#running.size > 0) {
      const error = new PluginHostError("STEP_TIMEOUT", `${this.#running.size} operations were still going on`);
      ports.emit("warning", { message: `stopping took longer than ${budgetMs} ms`, error });
    }
  }

  async #runningEnds(limitMs: number): Promise<void> {
    const late = deferred();
    const timer = this.#context.ports.clock.after(limitMs, late.resolve, true);
    await Promise.race([Promise.allSettled(this.#running), late.promise]);
    timer.cancel();
  }

  async #letGo(runtimeId: RuntimeId): Promise<void> {
    const { directory, ports, stopBudget } = this.#context;
    const plugin = directory.get(runtimeId);
    if (plugin === undefined) return;
    const reason = "the host is stopping";
    directory.withdraw(plugin, reason);
    try {
      // A part of the budget stays for the plugin's own end, and for the plugins that it depends on.
      await drain(ports.clock, plugin, stopBudget.leftMs() / 2, undefined);
      await this.#stopLaunched(plugin, stopBudget.leftMs() / 2);
    } catch (error) {
      ports.emit("warning", { message: `${runtimeId} did not stop cleanly`, error });
    }
    directory.retire(plugin, reason);
  }

  /** Stops what the host started, and waits no longer than that may take. */
  async #stopLaunched(plugin: LivePlugin, graceMs: number): Promise<void> {
    const { runtimeId, launched } = plugin;
    if (launched === undefined || launched.origin === "endpoint") return;
    const late = deferred();
    const timer = this.#context.ports.clock.after(graceMs + cutOffMs, late.resolve, true);
    const { signal } = new AbortController();
    const reason = "the host is stopping";
    // A module is asked by its own `stop`; a process gets the request of the wire contract before its signals.
    const stopping =
      launched.origin === "process"
        ? shutDown(plugin, { clock: this.#context.ports.clock, graceMs, reason, signal })
        : launched.stop(graceMs);
    const stopped = stopping.then(() => true);
    const inTime = await Promise.race([stopped, late.promise.then(() => false)]);
    timer.cancel();
    if (inTime) return;
    stopped.catch(() => {});
    throw new PluginHostError("STEP_TIMEOUT", `${runtimeId} did not stop within ${Math.round(graceMs)} ms`);
  }

  #start<T>(
    kind: "add" | "replace",
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
