import { Command } from "commander";
import type { CheckOptions } from "../check/run-check.js";
import type { CliContext } from "../context.js";
import { durationOption } from "../option-values.js";
import { collect } from "../plugin-options.js";

/** `check`: whether a plugin keeps the clauses of docs/reference/wire.md. */
export const checkCommand = (context: CliContext): Command =>
  new Command("check")
    .description("check a plugin against the clauses of the wire reference")
    .usage("[options] <command> [arguments…]  |  [options] -- <command> [arguments…]  |  --url <url>")
    .argument("[command...]", "the program, as a host would start it")
    .passThroughOptions()
    .option("--url <url>", "where a plugin listens that runs already; it is given identities of the check's own host")
    .option("--shutdown", "with --url: ask it to end at last, and look whether it does")
    .option("--env <name=value>", "a variable for the program; may be repeated", collect)
    .option("--cwd <folder>", "working directory of the program; here by default")
    .option("--stand-in <type@version>", "a service that it needs and does not declare; may be repeated", collect)
    .option("--timeout <duration>", "limit of each wait for the plugin (default: 10s)", durationOption)
    .option("--grace <duration>", "time that it gets to end (default: 5s)", durationOption)
    .option("--json", "print one JSON object")
    .action(async (command: readonly string[], options: CheckOptions) => {
      // A host's code is loaded by the commands that run one.
      const { runCheck } = await import("../check/run-check.js");
      const { program = [] } = context;
      // Dashes behind a command are its own.
      const dashes = command.length > 0 && context.program !== undefined ? ["--"] : [];
      await runCheck([...command, ...dashes, ...program], options, context);
    });
