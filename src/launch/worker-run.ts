import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import { endsWithin } from "../internal/ends-within.js";
import type { FromWorker } from "../link/worker-messages.js";
import type { LaunchEnd, OutputLine } from "../model/launch.js";
import { bufferEnd, failedEnd, linkEnd, nameOf, silentEnd, threadEnd, type WorkerFailure } from "./worker-errors.js";
import type { WorkerLauncherOptions, WorkerLink } from "./worker-launcher.js";
import type { ResolvedWorkerSource } from "./worker-source.js";
import { type ThreadExit, type ThreadSpec, WorkerThread } from "./worker-thread.js";
import { WorkerWatchdog } from "./worker-watchdog.js";

// A thread that has said that it is done has nothing left but what its plugin forgot to close.
const lingerMs = 100;
// Only native code that does not return keeps a thread longer than a moment.
const killMs = 2_000;

/** What one run of a plugin in a thread needs. */
export interface WorkerRunParts extends Pick<WorkerLauncherOptions, "clock" | "openLink"> {
  readonly source: ResolvedWorkerSource;
  readonly thread: ThreadSpec;
  readonly isHalted: () => boolean;
  readonly onLine: (line: OutputLine) => void;
}

/** The plugin was asked to stop, and has. */
const shutDown: LaunchEnd = Object.freeze({ reason: "it shut down", error: undefined });

/** One run of a plugin in a worker thread, from its start until nothing of it is left. */
export class WorkerRun {
  /** Resolves with the link when the plugin can be asked; rejects with a PluginHostError if it ends before. */
  readonly ready: Promise<WorkerLink>;
  /** Resolves when the plugin has ended by itself, or was ended by the watchdog. Never settles if `stop` came first. */
  readonly ended: Promise<LaunchEnd>;
  readonly #source: ResolvedWorkerSource;
  readonly #clock: Clock;
  readonly #openLink: WorkerRunParts["openLink"];
  readonly #thread: WorkerThread;
  readonly #watchdog: WorkerWatchdog;
  readonly #ready = deferred<WorkerLink>();
  readonly #ended = deferred<LaunchEnd>();
  /** The plugin has said that it is done. */
  readonly #done = deferred();
  /** What ended the run; what else comes after that is a consequence. */
  #verdict: LaunchEnd | undefined;
  #link: WorkerLink | undefined;
  #exit: ThreadExit | undefined;
  /** The host has asked for the end. */
  #isAsked = false;
  #stopping: Promise<void> | undefined;

  constructor({ source, thread, clock, openLink, isHalted, onLine }: WorkerRunParts) {
    this.#source = source;
    this.#clock = clock;
    this.#openLink = openLink;
    this.ready = this.#ready.promise;
    this.ended = this.#ended.promise;
    // For whoever launches; after that nobody has to ask.
    this.ready.catch(() => {});
    this.#thread = startThread(thread, { onLine, onMessage: (message) => this.#take(message) });
    this.#watchdog = new WorkerWatchdog({
      clock,
      silenceMs: source.watchdogMs,
      isHalted,
      ask: () => this.#thread.say({ kind: "ping" }),
      onSilence: (silentMs) => this.#end(silentEnd(source.module, silentMs, this.#thread.lastLines)),
    });
    void this.#thread.exited.then((exit) => this.#exited(exit));
  }

  /**
   * Ends the thread: asks the plugin to stop, unless it `isLeaving` already, and terminates it after `graceMs`; with 0 at once.
   * Idempotent.
   *
   * @throws PluginHostError `STEP_TIMEOUT` if the thread is inside of native code and does not end
   */
  stop(graceMs: number, isLeaving = false): Promise<void> {
    // What ends by itself before has done so, whoever comes later.
    this.#isAsked ||= this.#verdict === undefined;
    this.#stopping ??= this.#stop(graceMs, isLeaving);
    return this.#stopping;
  }

  #take(message: FromWorker): void {
    if (this.#verdict !== undefined) return;
    switch (message.kind) {
      case "loaded":
        return this.#loaded();
      case "ready":
        if (this.#link !== undefined) this.#whenOpen(this.#link);
        return;
      case "pong": {
        this.#watchdog.heard();
        const { maxBufferBytes, module } = this.#source;
        if (message.externalBytes > maxBufferBytes) {
          this.#end(bufferEnd(module, message.externalBytes, maxBufferBytes, this.#thread.lastLines));
        }
        return;
      }
      case "ended":
        this.#verdict = shutDown;
        this.#done.resolve();
        return this.#finish(lingerMs);
      case "failed":
        this.#end(failedEnd(this.#source.module, message, this.#thread.lastLines));
    }
  }

  #loaded(): void {
    if (this.#link !== undefined || this.#exit !== undefined) return;
    this.#watchdog.start();
    const link = this.#openLink(this.#thread.link);
    this.#link = link;
    void link.ended.then((fault) => {
      if (fault !== undefined) this.#end(linkEnd(this.#source.module, fault, this.#thread.lastLines));
    });
  }

  #whenOpen(link: WorkerLink): void {
    link.opened.then(
      () => this.#ready.resolve(link),
      // A thread that has ended tells more than its link does.
      () => {},
    );
  }

  /** The run is over; what is left of the thread goes. */
  #end(end: WorkerFailure): void {
    if (this.#verdict !== undefined) return;
    this.#verdict = end;
    this.#finish(0);
  }

  /** Not asked for by the host, who hears of it only now. */
  #finish(graceMs: number): void {
    this.#stopping ??= this.#stop(graceMs, true);
    this.#stopping.catch(() => this.#tell());
  }

  #exited(exit: ThreadExit): void {
    this.#exit = exit;
    this.#watchdog.stop();
    this.#link?.close();
    if (this.#link === undefined) this.#thread.link.close();
    if (this.#verdict === undefined && this.#stopping === undefined) {
      this.#verdict = threadEnd(this.#source.module, exit, this.#thread.lastLines);
    }
    this.#tell();
  }

  #tell(): void {
    const verdict = this.#verdict;
    const early = new PluginHostError("OPERATION_ABORTED", "the plugin was stopped before it was ready");
    this.#ready.reject(verdict?.error ?? early);
    if (verdict !== undefined && !this.#isAsked) this.#ended.resolve(verdict);
  }

  async #stop(graceMs: number, isLeaving: boolean): Promise<void> {
    const { exited } = this.#thread;
    if (graceMs > 0 && this.#exit === undefined) {
      if (!isLeaving) this.#thread.say({ kind: "stop", graceMs });
      const startedAt = this.#clock.monotonic();
      // The plugin's word that it is done comes before the thread's end, if something that it left keeps that alive.
      const done = Promise.race([exited, this.#verdict === undefined ? this.#done.promise : exited]);
      await endsWithin(this.#clock, graceMs, done);
      const leftMs = startedAt + graceMs - this.#clock.monotonic();
      await endsWithin(this.#clock, Math.min(lingerMs, Math.max(0, leftMs)), exited);
    }
    this.#watchdog.stop();
    if (this.#exit !== undefined) return;
    this.#thread.terminate();
    await endsWithin(this.#clock, killMs, exited);
    if (this.#exit !== undefined) return;
    this.#link?.close();
    throw new PluginHostError(
      "STEP_TIMEOUT",
      `the thread of ${nameOf(this.#source.module)} still runs ${killMs} ms after it was terminated; native code that it called does not return`,
    );
  }
}

function startThread(spec: ThreadSpec, events: ConstructorParameters<typeof WorkerThread>[1]): WorkerThread {
  try {
    return new WorkerThread(spec, events);
  } catch (cause) {
    // Options that Node refuses, such as a NODE_OPTIONS in the environment that threads do not take.
    const message = `no thread could be started for ${nameOf(spec.module)}: ${(cause as Error).message}`;
    throw new PluginHostError("PLUGIN_FAILED", message, { cause });
  }
}
