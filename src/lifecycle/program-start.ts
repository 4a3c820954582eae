import type { Clock } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import { addressKey } from "../model/address.js";
import type { PluginDeclaration } from "../model/declarations.js";
import type { OutputLine, StartedProgram } from "../model/launch.js";
import { explainWithProgram } from "./explain-with-program.js";
import type { Operation } from "./operation.js";
import type { PluginDirectory } from "./plugin-directory.js";
import type { LifecyclePorts } from "./ports.js";
import type { OpenStart } from "./self-registration.js";

/** What a {@link ProgramStart} works on. */
export interface ProgramStartParts {
  readonly ports: Pick<LifecyclePorts, "clock" | "emit">;
  readonly directory: PluginDirectory;
  readonly operation: Operation;
  /** How long a program that cannot be asked gets to register itself. */
  readonly registerMs: number;
}

/** The side of a start that only programs have which the host launches: they may call the host before anything else. */
export class ProgramStart {
  readonly #parts: ProgramStartParts;
  readonly #open: OpenStart;
  readonly #registered = deferred();
  #linked = deferred();

  constructor(open: OpenStart, parts: ProgramStartParts) {
    this.#open = open;
    this.#parts = parts;
  }

  /** The program runs, and calls the host under its launch. */
  started(program: StartedProgram): void {
    const { operation, directory } = this.#parts;
    const retire = (): void => {
      if (this.#open.plugin !== undefined) directory.retire(this.#open.plugin, `${operation.kind} failed`);
      this.#open.plugin = undefined;
    };
    if (this.#open.program === undefined) operation.onRollback(retire);
    // Another program has taken the place of one that could not have its port.
    else retire();
    this.#linked = deferred();
    this.#open.program = program;
    this.#open.addressKey = addressKey(program.address);
  }

  /** The program wrote a line. */
  wrote(line: OutputLine): void {
    const { program, plugin, selfId } = this.#open;
    const who = { runtimeId: plugin?.runtimeId, selfId: plugin?.selfId ?? selfId, pid: program?.pid };
    this.#parts.ports.emit("output", { ...line, ...who });
  }

  /** The link of the operation's plugin is open. */
  linked(): void {
    this.#linked.resolve();
  }

  /** Resolves when the program of this launch has a link that is open. */
  untilLinked(launchId: string): Promise<void> {
    return this.#open.program?.launchId === launchId ? this.#linked.promise : new Promise(() => {});
  }

  /** The program listens nowhere: it is reached over its link, and nothing else at its port is it. */
  reachedOverLink(isOpen: boolean): void {
    this.#open.addressKey = undefined;
    if (this.#open.plugin !== undefined) this.#open.plugin.address = Object.freeze({ kind: "link", isOpen });
  }

  /** The program has registered a service by itself. */
  registered(): void {
    this.#registered.resolve();
  }

  /** What a program without PluginIdentity says of itself in its handshake, and registers; undefined if it does neither. */
  async describe(signal: AbortSignal): Promise<PluginDeclaration | undefined> {
    if (this.#open.program === undefined) return undefined;
    await this.#untilRegistered(this.#parts.ports.clock, signal);
    signal.throwIfAborted();
    const { plugin } = this.#open;
    if (plugin === undefined || plugin.registrations.size === 0) return undefined;
    const { selfId, selfVersion, requires, metadata } = plugin;
    const provides = [...plugin.registrations.values()];
    return { selfId, selfVersion, requires, metadata, provides, silentOn: ["provides", "requires"] };
  }

  /** A failure with what is known of the program: its last lines, and what the host refused it. */
  explain(error: unknown): unknown {
    const { program, refusal } = this.#open;
    return program === undefined ? error : explainWithProgram(error, program, refusal);
  }

  async #untilRegistered(clock: Clock, signal: AbortSignal): Promise<void> {
    const late = deferred();
    const onAbort = (): void => late.resolve();
    const timer = clock.after(this.#parts.registerMs, onAbort, true);
    signal.addEventListener("abort", onAbort, { once: true });
    await Promise.race([this.#registered.promise, late.promise]);
    signal.removeEventListener("abort", onAbort);
    timer.cancel();
  }
}
