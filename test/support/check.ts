import { join } from "node:path";
import { expect } from "vitest";
import type { ClauseResult } from "../../src/cli/check/check-report.js";
import { runHere } from "./cli.js";

/** The plugin of which each fault breaks one clause. */
export const checkedScript = join(import.meta.dirname, "..", "integration", "check-plugins", "plugin.mjs");

/** What `check --json` prints. */
export interface CheckOutput {
  readonly subject: string;
  readonly passed: number;
  readonly failed: number;
  readonly notApplicable: number;
  readonly results: readonly ClauseResult[];
}

/** Checks the plugin with this fault; what the command printed and ended with. */
export async function check(fault: string, options: readonly string[] = ["--timeout", "4s", "--grace", "1s"]) {
  const args = ["check", "--json", ...options, process.execPath, checkedScript, fault];
  const { exitCode, stdout, stderr } = await runHere(args, {
    variables: { PATH: process.env.PATH ?? "" },
    workingDirectory: import.meta.dirname,
  });
  expect(stderr).toBe("");
  return { exitCode, ...(JSON.parse(stdout) as CheckOutput) };
}

/** The clauses that failed, with what was seen. */
export const failures = (results: readonly ClauseResult[]): string[] =>
  results.filter(({ status }) => status === "fail").map(({ clause, seen }) => `${clause}: ${seen}`);

/** The clauses that do not apply. */
export const skipped = (results: readonly ClauseResult[]): string[] =>
  results.filter(({ status }) => status === "not-applicable").map(({ clause }) => clause);
