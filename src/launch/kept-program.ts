import type { Clock, Timer } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import { startOfProcess } from "./process-identity.js";
import type { ProgramExit } from "./process-program.js";
import type { RecordedGroup } from "./recorded-group.js";

// Nobody tells when a process ends that is not one's own child. A look is one small file.
const lookMs = 250;
const firstLookMs = 2;
const longestLookMs = 100;
// How long processes may take to die of SIGKILL.
const killMs = 2_000;

/** A program that an earlier host started. No child of this host, and without a guard. */
export interface KeptProgramOptions {
  readonly pid: number;
  /** As `startOfProcess` tells it. */
  readonly startedAt: string;
  readonly group: RecordedGroup;
  readonly clock: Clock;
}

/**
 * Watches and stops a program that an earlier host started. How it ends cannot be known: the system tells that to a process's
 * parent alone. Its output goes nowhere.
 */
export class KeptProgram {
  readonly pid: number;
  readonly exited: Promise<ProgramExit>;
  readonly read: Promise<void>;
  readonly lastLines: readonly string[] = [];
  readonly #options: KeptProgramOptions;
  readonly #ended = deferred<ProgramExit>();
  #exit: ProgramExit | undefined;
  #timer: Timer | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: KeptProgramOptions) {
    this.#options = options;
    this.pid = options.pid;
    this.exited = this.#ended.promise;
    this.read = this.exited.then(() => {});
    this.#look();
  }

  get exit(): ProgramExit | undefined {
    return this.#exit;
  }

  get isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** As `ProcessProgram.stop`, for what is left of the program's group. */
  stop(graceMs: number, isLeaving = false): Promise<void> {
    this.#stopping ??= this.#stop(graceMs, isLeaving);
    return this.#stopping;
  }

  /** Leaves the program alone from now on. */
  leave(): void {
    this.#timer?.cancel();
  }

  async #stop(graceMs: number, isLeaving: boolean): Promise<void> {
    const { clock, group } = this.#options;
    const endsAt = clock.monotonic() + graceMs;
    const isGone = async (): Promise<boolean> => (await group.members()).length === 0;
    if (graceMs > 0) {
      if (isLeaving) await this.#until(isGone, endsAt - graceMs / 2);
      await group.signal("SIGTERM");
      await this.#until(isGone, endsAt);
    }
    // Again and again: a process may fork while it is killed.
    await this.#until(async () => (await group.signal("SIGKILL")) === 0, clock.monotonic() + killMs);
    this.#look();
  }

  #look(): void {
    this.#timer?.cancel();
    if (this.#exit !== undefined) return;
    const { pid, startedAt, clock, group } = this.#options;
    if (startOfProcess(pid) === startedAt) {
      this.#timer = clock.after(lookMs, () => this.#look());
      return;
    }
    this.#exit = { exitCode: undefined, signal: undefined };
    // As for a program with a guard, nothing outlives the program itself.
    if (this.#stopping === undefined) void group.signal("SIGKILL");
    this.#ended.resolve(this.#exit);
  }

  async #until(isSo: () => Promise<boolean>, endsAt: number): Promise<boolean> {
    const { clock } = this.#options;
    for (let delayMs = firstLookMs; ; delayMs = Math.min(delayMs * 2, longestLookMs)) {
      if (await isSo()) return true;
      const leftMs = endsAt - clock.monotonic();
      if (leftMs <= 0) return false;
      const { promise, resolve } = deferred();
      clock.after(Math.min(delayMs, leftMs), resolve, true);
      await promise;
    }
  }
}
