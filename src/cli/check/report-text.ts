import { oneLine, type Style } from "../text.js";
import type { ClauseResult } from "./check-report.js";

const words = { pass: "pass", fail: "FAIL", "not-applicable": "n/a " } as const;

/** How many clauses came out how. */
export function countResults(results: readonly ClauseResult[]): {
  readonly passed: number;
  readonly failed: number;
  readonly notApplicable: number;
} {
  const of = (status: ClauseResult["status"]): number => results.filter((result) => result.status === status).length;
  return { passed: of("pass"), failed: of("fail"), notApplicable: of("not-applicable") };
}

/** A line for each clause, more for each that failed, and the sums in the last line. */
export function reportText(results: readonly ClauseResult[], style: Style): string {
  const paint = { pass: style.green, fail: style.red, "not-applicable": style.dim } as const;
  const lines = results.flatMap(({ clause, status, title, seen, expected, advice }) => {
    const head = `${clause.padEnd(7)} ${paint[status](words[status])}  ${title}`;
    if (status === "pass") return [head];
    if (status === "not-applicable") return [`${head} ${style.dim(`(${oneLine(seen)})`)}`];
    return [
      head,
      `              expected: ${expected}`,
      `              seen:     ${oneLine(seen)}`,
      `              to do:    ${advice}`,
    ];
  });
  const { passed, failed, notApplicable } = countResults(results);
  lines.push(
    "",
    `${passed} passed, ${failed} failed, ${notApplicable} not applicable; clauses: docs/reference/wire.md`,
  );
  return `${lines.join("\n")}\n`;
}

/** The same for programs. */
export const reportJson = (subject: string, results: readonly ClauseResult[]): string =>
  `${JSON.stringify({ subject, ...countResults(results), results })}\n`;
