import type { ProgramExit } from "./process-program.js";

/** Signals with which the system ends a program that does what it may not. */
const faults: Readonly<Record<string, string>> = {
  SIGSEGV: "it used memory that is not its own",
  SIGBUS: "it used memory that is not there",
  SIGILL: "the processor does not know one of its instructions; it may be built for a newer one",
  SIGFPE: "it divided by zero",
  SIGABRT: "it gave up by itself, as after a failed assertion",
  SIGSYS: "it made a system call that is not allowed here",
  SIGKILL: "somebody killed it, perhaps the system for lack of memory",
};

/** What the run time of a language writes when it ends a program for an error. */
const marks: readonly (readonly [RegExp, string])[] = [
  [/^(panic: |fatal error: |goroutine \d+ \[)/, "a Go panic"],
  [/^thread '.*' (\(\d+\) )?panicked at/, "a Rust panic"],
  [/^Node\.js v\d+\./, "an error in JavaScript that nobody caught"],
  [/^Traceback \(most recent call last\):/, "a Python exception that nobody caught"],
  [/^Exception in thread "/, "a Java exception that nobody caught"],
  [/^Unhandled exception\. /, "a .NET exception that nobody caught"],
];

/** Numbers of signals that shells add 128 to when they tell how their child ended. */
const shellFaults = new Map([
  [132, "SIGILL"],
  [134, "SIGABRT"],
  [135, "SIGBUS"],
  [136, "SIGFPE"],
  [137, "SIGKILL"],
  [139, "SIGSEGV"],
]);

/** What made the program crash; undefined if it ended because it wanted to. */
export function findCrash({ exitCode, signal }: ProgramExit, lastLines: readonly string[]): string | undefined {
  if (exitCode === 0) return undefined;
  const mark = marks.find(([pattern]) => lastLines.some((line) => pattern.test(line)))?.[1];
  if (mark !== undefined) return mark;
  if (exitCode === undefined) return faults[signal ?? ""] ?? "somebody sent it that signal";
  const ofChild = shellFaults.get(exitCode);
  return ofChild === undefined ? undefined : `${ofChild} ended what it runs: ${faults[ofChild]}`;
}
