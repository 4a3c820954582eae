import { expect } from "vitest";
import { runHere } from "./cli.js";

/** One step, as `doctor --json` prints it. */
export interface DoctorStep {
  readonly step: string;
  readonly status: "ok" | "warn" | "fail" | "skipped";
  readonly seen: string;
  readonly durationMs: number | null;
  readonly code: string | null;
  readonly hint: string | null;
}

/** What `doctor --json` prints. */
export interface DoctorOutput {
  readonly subject: string;
  readonly healthy: boolean;
  readonly warnings: number;
  readonly sections: readonly { readonly subject: string; readonly steps: readonly DoctorStep[] }[];
  readonly conclusion: {
    readonly subject: string;
    readonly step: string;
    readonly code: string | null;
    readonly message: string;
    readonly hint: string;
    readonly reference: string | null;
  } | null;
}

/** Runs `doctor` in this process, as a person sees it. */
export const doctorText = (args: readonly string[], workingDirectory = import.meta.dirname) =>
  runHere(["doctor", ...args], { variables: { PATH: process.env.PATH ?? "" }, workingDirectory });

/** Runs `doctor --json` in this process. */
export async function doctor(args: readonly string[], workingDirectory = import.meta.dirname) {
  const { exitCode, stdout, stderr } = await doctorText(["--json", ...args], workingDirectory);
  expect(stderr).toBe("");
  return { exitCode, ...(JSON.parse(stdout) as DoctorOutput) };
}

/** The step of the first section, or of the one about this subject. */
export function stepIn({ sections }: DoctorOutput, step: string, subject?: string): DoctorStep | undefined {
  const section = subject === undefined ? sections[0] : sections.find((one) => one.subject === subject);
  return section?.steps.find((one) => one.step === step);
}
