import type { ExitCode } from "./exit-codes.js";

/** What is known of a failure beside its message. */
export interface CliErrorDetails {
  /** What to do next; a sentence for people. */
  readonly hint?: string | undefined;
  /** Connect code of the answer, such as `not_found`. */
  readonly code?: string | undefined;
  /** The host's own code, such as `PLUGIN_NOT_FOUND`. */
  readonly hostCode?: string | undefined;
  /** The step of add, remove or replace that failed. */
  readonly step?: string | undefined;
}

/** Ends a command with an exit code, and a message that goes to stderr. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  readonly details: CliErrorDetails;

  constructor(exitCode: ExitCode, message: string, details: CliErrorDetails = {}) {
    super(message);
    this.exitCode = exitCode;
    this.details = details;
  }
}
