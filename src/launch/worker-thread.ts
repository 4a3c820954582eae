import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { FromWorker, ToWorker, WorkerLaunch } from "../link/worker-messages.js";
import type { OutputLine } from "../model/launch.js";
import { ProcessOutput } from "./process-output.js";
import type { ResolvedWorkerSource } from "./worker-source.js";

/** What to run, and how. Everything is checked already. */
export interface ThreadSpec extends Pick<ResolvedWorkerSource, "module" | "args" | "resourceLimits"> {
  /** The thread's program. */
  readonly bootstrap: URL;
  /** All of its environment. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How a thread ended. */
export interface ThreadExit {
  readonly exitCode: number;
  /** What nobody caught in the thread, if that is what ended it. */
  readonly error: Error | undefined;
}

/** What a thread tells. */
export interface ThreadEvents {
  readonly onLine: (line: OutputLine) => void;
  readonly onMessage: (message: FromWorker) => void;
}

/** One worker thread with its two ports and its output. */
export class WorkerThread {
  /** This side of the plugin's link. */
  readonly link: MessagePort;
  /** Resolves when the thread has ended and its last lines are read. */
  readonly exited: Promise<ThreadExit>;
  readonly #worker: Worker;
  readonly #control: MessagePort;
  readonly #output: ProcessOutput;

  /** @throws Node's error if the thread cannot be made */
  constructor({ module, bootstrap, args, environment, resourceLimits }: ThreadSpec, events: ThreadEvents) {
    const link = new MessageChannel();
    const control = new MessageChannel();
    const launch: WorkerLaunch = { module: module.href, link: link.port2, control: control.port2 };
    this.link = link.port1;
    this.#control = control.port1;
    this.#worker = new Worker(bootstrap, {
      argv: [...args],
      env: environment,
      resourceLimits,
      workerData: launch,
      transferList: [link.port2, control.port2],
      stdout: true,
      stderr: true,
      // A host given as text passes an option on that no thread starts with, as a thread's program is a file.
      ...(process.execArgv.some((option) => option.startsWith("--input-type")) && { execArgv: [] }),
    });
    this.#output = new ProcessOutput(events.onLine, "");
    this.#output.read("stdout", this.#worker.stdout);
    this.#output.read("stderr", this.#worker.stderr);
    // The code of the thread can reach its port.
    control.port1.on("message", (message: Partial<FromWorker> | undefined) => {
      if (typeof message?.kind === "string") events.onMessage(message as FromWorker);
    });
    control.port1.unref();
    let error: Error | undefined;
    this.#worker.on("error", (uncaught: unknown) => {
      error = uncaught instanceof Error ? uncaught : new Error(String(uncaught));
    });
    this.exited = new Promise((resolve) => {
      this.#worker.once("exit", (exitCode) => {
        control.port1.close();
        // Its last lines come in the same turn.
        setImmediate(() => resolve({ exitCode, error }));
      });
    });
  }

  /** The last lines of its output, oldest first. */
  get lastLines(): readonly string[] {
    return this.#output.lastLines;
  }

  say(message: ToWorker): void {
    this.#control.postMessage(message);
  }

  /** Ends the thread wherever it is, but not inside of native code. Idempotent; `exited` tells when it has ended. */
  terminate(): void {
    void this.#worker.terminate();
  }
}
