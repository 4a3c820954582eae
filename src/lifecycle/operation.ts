import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import { endsWithin } from "../internal/ends-within.js";
import { randomHex } from "../internal/ids.js";
import type { RuntimeId } from "../model/catalog.js";
import type { PlatformEvents, StepEvent } from "../model/platform-events.js";

// A step that was given up gets this long to clean up after itself before what came before it is undone.
const settleMs = 1_000;

// Undoing may stop a plugin's own code, which may hang.
const undoMs = 5_000;

/** Settings of an {@link Operation}. */
export interface OperationOptions {
  readonly kind: StepEvent["operation"];
  readonly clock: Clock;
  /** Ends the operation early, up to its commit; it is rolled back then. */
  readonly signal: AbortSignal | undefined;
  readonly emit: <Name extends "step" | "warning">(name: Name, event: PlatformEvents[Name]) => void;
}

/** Undoes what a step did. */
export type Undo = () => void | Promise<void>;

/**
 * A sequence of named steps, each with an event, a time limit and a way back. Steps run one after another; when one
 * fails, `rollback` undoes the ones before it in reverse order.
 */
export class Operation {
  readonly id = randomHex(6);
  readonly kind: StepEvent["operation"];
  /** The plugin that the operation is about, for events. */
  runtimeId: RuntimeId | undefined;
  readonly #clock: Clock;
  readonly #emitStep: (event: StepEvent) => void;
  readonly #warn: (message: string, error: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  #phase: "open" | "committed" | "rolled-back" = "open";
  #undo: Undo[] = [];

  constructor(options: OperationOptions) {
    this.kind = options.kind;
    this.#clock = options.clock;
    this.#signal = options.signal;
    this.#emitStep = (event) => options.emit("step", event);
    this.#warn = (message, error) => options.emit("warning", { message, error });
  }

  /**
   * Runs one step. `run` gets a signal that is aborted at the limit and when the operation is; it then gets a moment to
   * end by itself, and what it does afterwards is ignored.
   *
   * @throws PluginHostError with `step` set: what `run` threw, `STEP_TIMEOUT` or `OPERATION_ABORTED`
   */
  async step<T>(step: string, limitMs: number, run: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    const startedAt = this.#clock.monotonic();
    const report = (state: StepEvent["state"], error?: Error): void =>
      this.#emitStep({
        operationId: this.id,
        operation: this.kind,
        step,
        state,
        runtimeId: this.runtimeId,
        durationMs: state === "started" ? 0 : this.#clock.monotonic() - startedAt,
        error,
      });
    report("started");
    try {
      const result = await this.#limited(step, limitMs, run);
      report("done");
      return result;
    } catch (thrown) {
      const error = inStep(thrown, step);
      report("failed", error);
      throw error;
    }
  }

  /** Remembers how to undo what was just done. If it comes too late to be remembered it is undone at once. */
  onRollback(undo: Undo): void {
    if (this.#phase === "open") this.#undo.push(undo);
    else if (this.#phase === "rolled-back") void this.#undoOne(undo);
  }

  /** From here on there is no way back, and the signal has no effect. */
  commit(): void {
    this.#phase = "committed";
    this.#undo = [];
  }

  /** Undoes everything in reverse order. One failing undo does not keep the others from running. */
  async rollback(): Promise<void> {
    const steps = this.#undo.reverse();
    this.#undo = [];
    this.#phase = "rolled-back";
    for (const undo of steps) await this.#undoOne(undo);
  }

  async #undoOne(undo: Undo): Promise<void> {
    try {
      const done = (async () => undo())();
      if (await endsWithin(this.#clock, undoMs, done)) return await done;
      throw new Error(`it was not undone within ${undoMs} ms`);
    } catch (error) {
      this.#warn(`rolling back ${this.kind} ${this.id} left something behind`, error);
    }
  }

  async #limited<T>(step: string, limitMs: number, run: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    const controller = new AbortController();
    const givenUp = deferred<never>();
    // Nobody may be left to wait for it when the step has won the race.
    givenUp.promise.catch(() => {});
    const giveUp = (reason: PluginHostError): void => {
      givenUp.reject(reason);
      controller.abort(reason);
    };
    const signal = this.#phase === "open" ? this.#signal : undefined;
    const onAbort = (): void =>
      giveUp(new PluginHostError("OPERATION_ABORTED", `${this.kind} was aborted`, { cause: signal?.reason }));
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    const onLimit = (): void =>
      giveUp(new PluginHostError("STEP_TIMEOUT", `${this.kind}: "${step}" took longer than ${limitMs} ms`));
    const limit = Number.isFinite(limitMs) ? this.#clock.after(limitMs, onLimit, true) : undefined;
    try {
      controller.signal.throwIfAborted();
      const work = (async () => run(controller.signal))();
      try {
        return await Promise.race([work, givenUp.promise]);
      } catch (error) {
        if (!controller.signal.aborted || !(await endsWithin(this.#clock, settleMs, work))) throw error;
        // What was given up may know what it was waiting for.
        const own = await work.catch((reason: unknown) => reason);
        throw own instanceof PluginHostError && own.cause === error ? own : error;
      }
    } finally {
      limit?.cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

function inStep(thrown: unknown, step: string): PluginHostError {
  if (thrown instanceof PluginHostError) {
    if (thrown.step !== undefined) return thrown;
    const { code, message, cause, field, details } = thrown;
    return new PluginHostError(code, message, { cause: cause ?? thrown, step, details, ...(field && { field }) });
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new PluginHostError("PLUGIN_FAILED", message, { cause: thrown, step });
}
