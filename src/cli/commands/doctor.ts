import { Command } from "commander";
import type { CliContext } from "../context.js";
import type { DoctorOptions } from "../doctor/read-subject.js";
import { durationOption } from "../option-values.js";
import { collect } from "../plugin-options.js";

/** `doctor`: starts a plugin as a host would, and says what is wrong with it and what to do. */
export const doctorCommand = (context: CliContext): Command =>
  new Command("doctor")
    .description("start a plugin step by step as a host would, and say what is wrong and what to do")
    .usage(
      "[options] -- <command> [arguments…]  |  --endpoint <url>  |  --module <specifier>  |  --worker <file>  |  --config <file>",
    )
    .argument("[command...]", "the program, as a host would start it")
    .passThroughOptions()
    .option("--endpoint <url>", "a plugin that runs already; it is given an identity of the doctor's own host")
    .option("--module <specifier>", "a module for a host's own process: a path or a package's name")
    .option("--worker <file>", "a module for a worker thread of the host's process")
    .option("--config <file>", "all plugins of a configuration of `serve`, each alone and then together")
    .option("--env <name=value>", "a variable for the program; may be repeated", collect)
    .option("--cwd <folder>", "working directory of the program; here by default")
    .option("--stand-in <type@version>", "a service that it needs and does not declare; may be repeated", collect)
    .option("--no-stand-ins", "do not play what it requires: it fails then, as in an empty host")
    .option("--timeout <duration>", "what a host waits for it to start (default: 10s, as hosts do)", durationOption)
    .option("--grace <duration>", "time that it gets to end (default: 5s)", durationOption)
    .option("--json", "print one JSON object")
    .action(async (command: readonly string[], options: DoctorOptions) => {
      // A host's code is loaded by the commands that run one.
      const { runDoctor } = await import("../doctor/run-doctor.js");
      const { program = [] } = context;
      // Dashes behind a command are its own.
      const dashes = command.length > 0 && context.program !== undefined ? ["--"] : [];
      await runDoctor([...command, ...dashes, ...program], options, context);
    });
