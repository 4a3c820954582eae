import type { ErrorCode } from "../../index.js";
import type { Step, StepTitles } from "./step-titles.js";

/** What a step may come out as. `skipped` says in `seen` why. */
export type StepStatus = "ok" | "warn" | "fail" | "skipped";

/** What was found in one step. */
export interface Finding {
  readonly status: StepStatus;
  /** What was seen, in a few words. */
  readonly seen: string;
  /** Of a failure: all that the host said. @default `seen` */
  readonly message?: string | undefined;
  readonly durationMs?: number | undefined;
  /** The host's code, if it is the host that complains. */
  readonly code?: ErrorCode | undefined;
  /** What to do. */
  readonly hint?: string | undefined;
}

/** One step of a section, and what was found in it. */
export interface StepResult extends Finding {
  readonly step: Step;
  readonly title: string;
}

/** The steps of one subject. They are found out in any order, and told in theirs. */
export class DoctorSection {
  readonly subject: string;
  readonly #steps: readonly Step[];
  readonly #titles: StepTitles;
  readonly #found = new Map<Step, Finding>();
  readonly #onResult: (result: StepResult) => void;
  #told = 0;

  constructor(subject: string, titles: StepTitles, onResult: (result: StepResult) => void) {
    this.subject = subject;
    this.#titles = titles;
    this.#steps = Object.keys(titles) as Step[];
    this.#onResult = onResult;
  }

  ok(step: Step, seen: string, durationMs?: number): void {
    this.put(step, { status: "ok", seen, durationMs });
  }

  warn(step: Step, seen: string, hint: string): void {
    this.put(step, { status: "warn", seen, hint });
  }

  skip(step: Step, why: string): void {
    this.put(step, { status: "skipped", seen: why });
  }

  /** The first finding of a step counts; what is no step of this section has no place in it. */
  put(step: Step, finding: Finding): void {
    if (this.#found.has(step) || !this.knows(step)) return;
    this.#found.set(step, finding);
    this.#tell();
  }

  /** Whether the step is one of this section. */
  knows(step: Step): boolean {
    return Object.hasOwn(this.#titles, step);
  }

  /** The first of these steps that this section has. */
  nearest(...steps: readonly Step[]): Step | undefined {
    return steps.find((step) => this.knows(step));
  }

  /** Whatever has not been found out by now is skipped, for this reason. */
  close(why: string): void {
    for (const step of this.#steps) this.skip(step, why);
  }

  /** In their order, as far as they are known without a gap. */
  get results(): readonly StepResult[] {
    return this.#steps.slice(0, this.#told).map((step) => this.#result(step));
  }

  #tell(): void {
    for (;;) {
      const step = this.#steps[this.#told];
      if (step === undefined || !this.#found.has(step)) return;
      this.#told++;
      this.#onResult(this.#result(step));
    }
  }

  #result(step: Step): StepResult {
    return { step, title: this.#titles[step] ?? step, ...(this.#found.get(step) as Finding) };
  }
}
