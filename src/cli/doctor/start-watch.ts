import type { OutputEvent, Platform, StepEvent } from "../../index.js";

const keptLines = 3;

/** What a host tells of its attempts to add one plugin. */
export class StartWatch {
  /** Steps of the last attempt that were done, with how long they took. */
  readonly done = new Map<string, number>();
  /** First lines of the last attempt's output. */
  readonly firstLines: string[] = [];
  lines = 0;
  chars = 0;
  /** How many lines were longer than the host keeps. */
  cutLines = 0;
  pid: number | undefined;
  readonly #off: readonly (() => void)[];

  constructor(platform: Platform) {
    this.#off = [
      platform.on("step", (event) => this.#step(event)),
      platform.on("output", (event) => this.#output(event)),
    ];
  }

  /** Another attempt begins. */
  reset(): void {
    this.done.clear();
    this.firstLines.length = 0;
    this.lines = 0;
    this.chars = 0;
    this.cutLines = 0;
    this.pid = undefined;
  }

  [Symbol.dispose](): void {
    for (const off of this.#off) off();
  }

  #step({ operation, step, state, durationMs }: StepEvent): void {
    if (operation === "add" && state === "done") this.done.set(step, durationMs);
  }

  #output({ line, truncated, pid }: OutputEvent): void {
    this.pid = pid;
    this.lines++;
    this.chars += line.length;
    if (truncated) this.cutLines++;
    if (this.firstLines.length < keptLines && line.trim() !== "") this.firstLines.push(line);
  }
}
