import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { randomHex } from "../internal/ids.js";
import type { RuntimeId } from "../model/catalog.js";
import type { PlatformEvents, StepEvent } from "../model/platform-events.js";

/** Settings of an {@link Operation}. */
export interface OperationOptions {
  readonly kind: StepEvent["operation"];
  readonly clock: Clock;
  /** Ends the operation early; it is rolled back then. */
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
  #undo: Undo[] = [];

  constructor(options: OperationOptions) {
    this.kind = options.kind;
    this.#clock = options.clock;
    this.#signal = options.signal;
    this.#emitStep = (event) => options.emit("step", event);
    this.#warn = (message, error) => options.emit("warning", { message, error });
  }

  /**
   * Runs one step. `run` gets a signal that is aborted at the limit and when the operation is; what it does afterwards
   * is ignored.
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

  /** Remembers how to undo what was just done. */
  onRollback(undo: Undo): void {
    this.#undo.push(undo);
  }

  /** From here on there is no way back. */
  commit(): void {
    this.#undo = [];
  }

  /** Undoes everything in reverse order. One failing undo does not keep the others from running. */
  async rollback(): Promise<void> {
    const steps = this.#undo.reverse();
    this.#undo = [];
    for (const undo of steps) {
      try {
        await undo();
      } catch (error) {
        this.#warn(`rolling back ${this.kind} ${this.id} left something behind`, error);
      }
    }
  }

  async #limited<T>(step: string, limitMs: number, run: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    const controller = new AbortController();
    let giveUp!: (reason: PluginHostError) => void;
    const givenUp = new Promise<never>((_, reject) => {
      giveUp = (reason) => {
        reject(reason);
        controller.abort(reason);
      };
    });
    // Nobody may be left to wait for it when the step has won the race.
    givenUp.catch(() => {});
    const onAbort = (): void =>
      giveUp(new PluginHostError("OPERATION_ABORTED", `${this.kind} was aborted`, { cause: this.#signal?.reason }));
    if (this.#signal?.aborted === true) onAbort();
    this.#signal?.addEventListener("abort", onAbort, { once: true });
    const limit = Number.isFinite(limitMs)
      ? this.#clock.after(
          limitMs,
          () => giveUp(new PluginHostError("STEP_TIMEOUT", `${this.kind}: "${step}" took longer than ${limitMs} ms`)),
          true,
        )
      : undefined;
    try {
      controller.signal.throwIfAborted();
      return await Promise.race([run(controller.signal), givenUp]);
    } finally {
      limit?.cancel();
      this.#signal?.removeEventListener("abort", onAbort);
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
