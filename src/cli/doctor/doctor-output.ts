import type { CliContext } from "../context.js";
import { DoctorSection, type StepResult } from "./doctor-report.js";
import { conclusionText, skippedText, stepText } from "./doctor-text.js";
import { referenceOf } from "./remedies.js";
import type { StepTitles } from "./step-titles.js";

const notReached = "not reached";

/** Prints findings as they come: lines for people, or one object for programs at the end. */
export class DoctorOutput {
  readonly #subject: string;
  readonly #isJson: boolean;
  readonly #context: CliContext;
  readonly #sections: DoctorSection[] = [];
  #progress = "";
  #notReached = 0;

  constructor(subject: string, isJson: boolean, context: CliContext) {
    this.#subject = subject;
    this.#isJson = isJson;
    this.#context = context;
  }

  /** Begins a section; what is found in it is printed at once. */
  section(subject: string, titles: StepTitles): DoctorSection {
    this.#flush();
    const { bold } = this.#context.style;
    this.#write(`${this.#sections.length === 0 ? "" : "\n"}${bold(subject)}\n`);
    const section = new DoctorSection(subject, titles, (result) => this.#tell(result));
    this.#sections.push(section);
    return section;
  }

  /** What is going on, for a person who waits; the next line takes its place. */
  progress(text: string): void {
    const { stderr, stdout } = this.#context.environment;
    if (this.#isJson || !stderr.isTerminal || !stdout.isTerminal) return;
    this.clear();
    this.#progress = text;
    stderr.write(this.#context.style.dim(`  … ${text}`));
  }

  /** Takes away what `progress` shows. */
  clear(): void {
    if (this.#progress === "") return;
    this.#progress = "";
    this.#context.environment.stderr.write("\r\u001b[K");
  }

  /** Prints the conclusion. The number of steps that failed. */
  end(): number {
    this.#flush();
    const results = this.#sections.flatMap(({ subject, results }) => results.map((result) => ({ ...result, subject })));
    const failed = results.filter(({ status }) => status === "fail");
    const warnings = results.filter(({ status }) => status === "warn").length;
    const [first] = failed;
    const where = first === undefined || this.#sections.length === 1 ? "" : first.subject;
    this.#write(conclusionText(first, where, warnings, this.#context.style));
    if (this.#isJson) this.#context.environment.stdout.write(`${JSON.stringify(this.#report(first, warnings))}\n`);
    return failed.length;
  }

  #report(failed: (StepResult & { readonly subject: string }) | undefined, warnings: number): object {
    const conclusion = failed && {
      subject: failed.subject,
      step: failed.step,
      code: failed.code ?? null,
      message: failed.message ?? failed.seen,
      hint: failed.hint ?? null,
      reference: failed.code === undefined ? null : referenceOf(failed.code),
    };
    const sections = this.#sections.map(({ subject, results }) => ({
      subject,
      steps: results.map(({ step, status, seen, durationMs, code, hint }) => ({
        step,
        status,
        seen,
        durationMs: durationMs === undefined ? null : Math.round(durationMs),
        code: code ?? null,
        hint: hint ?? null,
      })),
    }));
    return {
      subject: this.#subject,
      healthy: failed === undefined,
      warnings,
      sections,
      conclusion: conclusion ?? null,
    };
  }

  #tell(result: StepResult): void {
    if (result.status === "skipped" && result.seen === notReached) {
      this.#notReached++;
      return;
    }
    this.#write(stepText(result, this.#context.style));
  }

  /** Steps without anything to say are counted, and not listed one by one. */
  #flush(): void {
    if (this.#notReached > 0) this.#write(skippedText(this.#notReached, this.#context.style));
    this.#notReached = 0;
  }

  #write(text: string): void {
    if (this.#isJson) return;
    this.clear();
    this.#context.environment.stdout.write(text);
  }
}
