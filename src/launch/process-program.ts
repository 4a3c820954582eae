import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import type { Duplex, Readable } from "node:stream";
import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import type { OutputLine } from "../model/launch.js";
import { groupMembers } from "./process-group.js";
import { guardDescriptor, guardScript, ProcessGuard } from "./process-guard.js";
import { startOfProcess } from "./process-identity.js";
import { ProcessOutput } from "./process-output.js";

// What the program wrote last arrives within this time after its end, unless something that left its group still writes.
const lastOutputMs = 50;
// How long processes may take to die of SIGKILL; only those that hang inside the kernel take longer than a moment.
const killMs = 2_000;
const firstLookMs = 2;
const longestLookMs = 100;

/** What to run, and how. Everything is checked already. */
export interface ProgramSpec {
  /** Absolute path. */
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** All of its environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly onHostExit: "stop" | "keep";
  /** Must not appear in the output that is passed on; empty for nothing. */
  readonly secret: string;
  /** Numbers of open files that the program would get without being meant to. @default none */
  readonly inherited?: readonly number[];
}

/** How a program ended. Both are undefined for a program that an earlier host started. */
export interface ProgramExit {
  /** Undefined if a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
}

/** A program that runs in a process group of its own, whoever started it. */
export type RunningProgram = Pick<
  ProcessProgram,
  "pid" | "exited" | "read" | "exit" | "isStopping" | "lastLines" | "stop"
>;

/**
 * One program that runs in a process group of its own, with its guard. Only the program itself is the plugin: when it
 * ends, whatever else is left in its group is killed.
 */
export class ProcessProgram {
  /** Also the id of the process group. */
  readonly pid: number;
  /** Resolves at once when the program has ended. */
  readonly exited: Promise<ProgramExit>;
  /** Resolves a moment later, when its last lines are read. */
  readonly read: Promise<void>;
  readonly #clock: Clock;
  readonly #guard: ProcessGuard;
  readonly #output: ProcessOutput;
  /** Undefined where the system does not tell, and for a program that ended at once. */
  readonly #startedAt: string | undefined;
  #exit: ProgramExit | undefined;
  #stopping: Promise<void> | undefined;

  private constructor(child: ChildProcess, pid: number, clock: Clock, output: ProcessOutput) {
    this.pid = pid;
    this.#startedAt = startOfProcess(pid);
    this.#clock = clock;
    this.#output = output;
    this.#guard = new ProcessGuard(child.stdio[guardDescriptor] as Duplex);
    for (const stream of ["stdout", "stderr"] as const) {
      const source: Readable | null = child[stream];
      if (source !== null) output.read(stream, source);
    }
    child.on("error", () => {});
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    this.exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#exit = { exitCode: code ?? undefined, signal: signal ?? undefined };
        if (this.#stopping === undefined) this.#guard.signal("KILL");
        resolve(this.#exit);
      });
    });
    this.read = this.exited.then(() => this.#within(closed, lastOutputMs));
  }

  /** @throws PluginHostError `COMMAND_NOT_EXECUTABLE` if the system cannot start a process */
  static async start(spec: ProgramSpec, clock: Clock, onLine: (line: OutputLine) => void): Promise<ProcessProgram> {
    const { file, args, cwd, environment, onHostExit, secret, inherited = [] } = spec;
    // What is kept must not break when the host's end of its output is gone.
    const output = onHostExit === "keep" ? "ignore" : "pipe";
    const child = withNothing(inherited.length > 0, (nothing) =>
      spawn("/bin/sh", ["-c", guardScript(onHostExit, environment), "plugin-guard", file, ...args], {
        cwd,
        env: environment,
        // A session and a group of its own: what reaches the host's group from a terminal does not reach the plugin.
        detached: true,
        stdio: ["ignore", output, output, "pipe", ...instead(inherited, nothing)],
      }),
    );
    if (child.pid !== undefined) {
      return new ProcessProgram(child, child.pid, clock, new ProcessOutput(onLine, secret));
    }
    const [error] = (await once(child, "error")) as [Error];
    throw new PluginHostError("COMMAND_NOT_EXECUTABLE", `${file} could not be started: ${error.message}`, {
      cause: error,
      details: { file },
    });
  }

  /** How the program ended; undefined while it runs. */
  get exit(): ProgramExit | undefined {
    return this.#exit;
  }

  /** Whether it ends because somebody asked for it. */
  get isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  get lastLines(): readonly string[] {
    return this.#output.lastLines;
  }

  /**
   * Ends all of the group: SIGTERM, and SIGKILL after `graceMs`; with 0 SIGKILL at once. `isLeaving`: it is on its way to
   * end by itself, so SIGTERM comes at half of the time. Resolves when no process of the group is alive. Idempotent.
   *
   * @throws PluginHostError `STEP_TIMEOUT` if SIGKILL has no effect
   */
  stop(graceMs: number, isLeaving = false): Promise<void> {
    this.#stopping ??= this.#stop(graceMs, isLeaving);
    return this.#stopping;
  }

  async #stop(graceMs: number, isLeaving: boolean): Promise<void> {
    const startedAt = this.#clock.monotonic();
    const leftMs = (): number => startedAt + graceMs - this.#clock.monotonic();
    if (graceMs > 0) {
      if (isLeaving) await this.#within(this.exited, graceMs / 2);
      if (this.#exit === undefined || (await this.#others()) > 0) {
        this.#signal("TERM");
        await this.#within(this.exited, leftMs());
        if (this.#exit !== undefined) await this.#until(async () => (await this.#others()) === 0, leftMs);
      }
    }
    this.#signal("KILL");
    await this.#within(this.exited, killMs);
    const endsAt = this.#clock.monotonic() + killMs;
    const isGone = async (): Promise<boolean> => (await this.#members()).length === 0;
    if (await this.#until(isGone, () => endsAt - this.#clock.monotonic())) return;
    const left = await this.#members();
    throw new PluginHostError(
      "STEP_TIMEOUT",
      `processes ${left.join(", ")} still run ${killMs} ms after SIGKILL; they hang in the system, look at them with ps`,
      { details: { pids: left } },
    );
  }

  /** Processes of the group that are alive, without the guard. */
  async #others(): Promise<number> {
    const guards = this.#guard.isAlive ? 1 : 0;
    return Math.max(0, (await this.#members()).length - guards);
  }

  /** Processes of the group that are alive. */
  async #members(): Promise<number[]> {
    const now = startOfProcess(this.pid);
    // The id is in use again, which it never is before the last of its group is gone: the group is somebody else's.
    if (now !== undefined && now !== this.#startedAt) return [];
    return groupMembers(this.pid);
  }

  #signal(name: "TERM" | "KILL"): void {
    // As long as nobody has asked how the program ended, its id cannot be anybody else's. Later only the guard, which is in
    // the group, knows that the group still is the plugin's.
    if (this.#exit === undefined && (name === "KILL" || !this.#guard.isAlive)) {
      try {
        process.kill(-this.pid, `SIG${name}`);
      } catch {
        // It ended a moment ago; its exit is on the way.
      }
    } else {
      this.#guard.signal(name);
    }
  }

  /** Waits for something, for `limitMs` at most. */
  async #within(event: Promise<unknown>, limitMs: number): Promise<void> {
    const late = deferred();
    const timer = this.#clock.after(Math.max(0, limitMs), late.resolve, true);
    await Promise.race([event, late.promise]);
    timer.cancel();
  }

  /** Looks again and again, ever less often: nobody tells when a process ends that is not one's own child. */
  async #until(isSo: () => Promise<boolean>, leftMs: () => number): Promise<boolean> {
    for (let delayMs = firstLookMs; ; delayMs = Math.min(delayMs * 2, longestLookMs)) {
      if (await isSo()) return true;
      if (leftMs() <= 0) return false;
      await this.#within(new Promise(() => {}), Math.min(delayMs, leftMs()));
    }
  }
}

/** Opens what stands for no file, if it is needed, as long as `start` runs. */
function withNothing<T>(isNeeded: boolean, start: (nothing: number | undefined) => T): T {
  const nothing = isNeeded ? openSync("/dev/null", "r") : undefined;
  try {
    return start(nothing);
  } finally {
    if (nothing !== undefined) closeSync(nothing);
  }
}

/**
 * What a program gets after the guard's number: `nothing` in the place of files that it must not get, since a shell can
 * close those with one digit only.
 */
function instead(numbers: readonly number[], nothing: number | undefined): ("ignore" | number)[] {
  const stdio: ("ignore" | number)[] = [];
  const last = Math.max(guardDescriptor, ...numbers);
  for (let number = guardDescriptor + 1; number <= last; number += 1) {
    stdio.push(numbers.includes(number) && nothing !== undefined ? nothing : "ignore");
  }
  return stdio;
}

/** An exit in words: `exited with code 3`, `was ended by SIGSEGV`. */
export const exitText = ({ exitCode, signal }: ProgramExit): string => {
  if (exitCode !== undefined) return `exited with code ${exitCode}`;
  return signal === undefined
    ? "has ended, and only the host that started it could know how"
    : `was ended by ${signal}`;
};
