import type { CliEnvironment } from "./environment.js";
import type { ExitCode } from "./exit-codes.js";
import type { Style } from "./text.js";

/** What the commands of one run share. */
export interface CliContext {
  readonly environment: CliEnvironment;
  /** What stands behind `--`; undefined if there is no `--`. */
  readonly program: readonly string[] | undefined;
  /** For stdout. */
  readonly style: Style;
  /** Ends the run with another code than `ok`, without an error. */
  endWith(exitCode: ExitCode): void;
}
