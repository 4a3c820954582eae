import path from "node:path";
import { CliError } from "../cli-error.js";
import type { CliContext } from "../context.js";
import { exitCodes } from "../exit-codes.js";
import { readVariables } from "../plugin-options.js";
import { checkEndpoint } from "./check-endpoint.js";
import { ProgramCheck } from "./check-program.js";
import { CheckReport } from "./check-report.js";
import { countResults, reportJson, reportText } from "./report-text.js";
import { toNeeded } from "./stand-in.js";

/** Options of `check`. */
export interface CheckOptions {
  readonly url?: string;
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly standIn?: readonly string[];
  /** Milliseconds. */
  readonly timeout?: number;
  /** Milliseconds. */
  readonly grace?: number;
  readonly shutdown?: boolean;
  readonly json?: boolean;
}

/** Checks a plugin and prints the report. @throws CliError if there is nothing to check */
export async function runCheck(command: readonly string[], options: CheckOptions, context: CliContext): Promise<void> {
  const { url, env = [], cwd, standIn = [], timeout: timeoutMs = 10_000, grace: graceMs = 5_000 } = options;
  const { workingDirectory, variables, stdout } = context.environment;
  const standIns = standIn.map(toNeeded);
  const report = new CheckReport();
  const [program, ...args] = command;
  if (url !== undefined) {
    if (program !== undefined) throw usage("a command or --url, not both");
    if (env.length > 0 || cwd !== undefined) throw usage("--env and --cwd belong to a command");
    const shutdown = options.shutdown === true;
    await checkEndpoint(baseUrl(url), report, { timeoutMs, graceMs, shutdown, standIns });
  } else {
    if (program === undefined) throw usage("nothing says what to check: give a command, or --url URL");
    const spec = {
      command: [program, ...args] as const,
      cwd: path.resolve(workingDirectory, cwd ?? "."),
      env: readVariables(env),
      inherited: variables,
    };
    report.skip("W-2.1", "checked with --url; the host adds the command instead (W-11.2)");
    await new ProgramCheck(spec, report, { timeoutMs, graceMs }, standIns).run();
  }
  const results = report.results();
  const subject = url ?? command.join(" ");
  stdout.write(options.json === true ? reportJson(subject, results) : reportText(results, context.style));
  if (countResults(results).failed > 0) context.endWith(exitCodes.failed);
}

const usage = (message: string): CliError =>
  new CliError(exitCodes.usage, message, {
    hint: "such as: connect-plugin-host check ./my-plugin, or connect-plugin-host check --url http://127.0.0.1:4001",
  });

function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw usage(`--url must be http://… or https://…, got ${text}`);
  return text.replace(/\/+$/, "");
}
