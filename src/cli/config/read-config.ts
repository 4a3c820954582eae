import { readFile } from "node:fs/promises";
import path from "node:path";
import { CliError, type CliErrorDetails } from "../cli-error.js";
import { type ExitCode, exitCodes } from "../exit-codes.js";
import { ConfigDocument, type ConfigProblem, fieldPath } from "./config-document.js";
import { configSchema, type HostConfig } from "./config-schema.js";
import { explainIssue } from "./explain-issue.js";

/** A configuration file that was read and checked. */
export interface LoadedConfig {
  readonly config: HostConfig;
  /** From where paths in it are seen. */
  readonly folder: string;
  /** An error at a field such as `health.intervalMs`, with its place in the file. */
  errorAt(field: string, message: string, exitCode?: ExitCode, details?: CliErrorDetails): CliError;
}

/** Reads and checks a configuration file. @throws CliError `usage` that says what is wrong on which line */
export async function readConfig(
  file: string,
  options: {
    readonly workingDirectory: string;
    readonly variables: Readonly<Record<string, string | undefined>>;
  },
): Promise<LoadedConfig> {
  const location = path.resolve(options.workingDirectory, file);
  let text: string;
  try {
    text = await readFile(location, "utf8");
  } catch (error) {
    throw new CliError(exitCodes.usage, `${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  const document = new ConfigDocument(text, options.variables);
  const config = checkConfig(document, file);
  return {
    config,
    folder: path.dirname(location),
    errorAt: (field, message, exitCode, details) =>
      configError(file, [document.problemAt(fieldPath(field), message)], exitCode, details),
  };
}

/** @throws CliError `usage` with every problem */
function checkConfig(document: ConfigDocument, file: string): HostConfig {
  if (document.problems.length > 0) throw configError(file, document.problems);
  let value: unknown;
  try {
    value = document.toValue();
  } catch (error) {
    throw configError(file, [document.problemAt([], error instanceof Error ? error.message : String(error))]);
  }
  const result = configSchema.safeParse(value);
  if (result.success) return result.data;
  throw configError(
    file,
    result.error.issues.flatMap((issue) => explainIssue(issue, value, document)),
  );
}

function configError(
  file: string,
  problems: readonly ConfigProblem[],
  exitCode: ExitCode = exitCodes.usage,
  details?: CliErrorDetails,
): CliError {
  const lines = problems.map(
    ({ line, column, field, message }) =>
      `${file}:${line}:${column}: ${field === "" ? message : `${field} ${message}`}`,
  );
  return new CliError(exitCode, lines.join("\n"), details);
}
