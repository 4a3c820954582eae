import { readFileSync } from "node:fs";
import { Command, CommanderError, type OutputConfiguration } from "commander";
import { CliError } from "./cli-error.js";
import { addCommand } from "./commands/add.js";
import { checkCommand } from "./commands/check.js";
import { doctorCommand } from "./commands/doctor.js";
import { impactCommand } from "./commands/impact.js";
import { orderCommand } from "./commands/order.js";
import { planCommand } from "./commands/plan.js";
import { pluginsCommand } from "./commands/plugins.js";
import { releaseCommand } from "./commands/release.js";
import { removeCommand } from "./commands/remove.js";
import { replaceCommand } from "./commands/replace.js";
import { serveCommand } from "./commands/serve.js";
import { servicesCommand } from "./commands/services.js";
import { strategyCommand } from "./commands/strategy.js";
import { watchCommand } from "./commands/watch.js";
import type { CliContext } from "./context.js";
import type { CliEnvironment } from "./environment.js";
import { type ExitCode, exitCodes } from "./exit-codes.js";
import { severalLines, styleFor } from "./text.js";

/** The one name under which the command's parts speak. */
const programName = "connect-plugin-host";

/** Commands that take a program behind `--`. */
const takesProgram: readonly string[] = ["add", "check", "doctor", "replace"];

/** Runs one command. `args` is what stands behind the command's name. Never rejects. */
export async function runCli(args: readonly string[], environment: CliEnvironment): Promise<ExitCode> {
  const dashesAt = args.indexOf("--");
  const own = dashesAt === -1 ? args : args.slice(0, dashesAt);
  let exitCode: ExitCode = exitCodes.ok;
  const context: CliContext = {
    environment,
    program: dashesAt === -1 ? undefined : args.slice(dashesAt + 1),
    style: styleFor(environment.stdout.isTerminal, environment.variables),
    endWith: (code) => {
      exitCode = code;
    },
  };
  try {
    if (context.program !== undefined && !own.some((arg) => takesProgram.includes(arg))) {
      throw new CliError(
        exitCodes.usage,
        `only ${takesProgram.slice(0, -1).join(", ")} and ${takesProgram.at(-1)} take a command behind --`,
      );
    }
    await createProgram(context).parseAsync(own, { from: "user" });
    return exitCode;
  } catch (error) {
    // It has said already what is wrong.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    const told = error instanceof CliError ? error : unexpected(error);
    environment.stderr.write(own.includes("--json") ? errorJson(told) : errorText(told, environment));
    return told.exitCode;
  }
}

function createProgram(context: CliContext): Command {
  const { stdout, stderr } = context.environment;
  const program = new Command(programName)
    .description("Runs a plugin host, and looks into one that runs and changes it.")
    .version(packageVersion())
    // So that what stands behind the command of `check` is the program's.
    .enablePositionalOptions()
    .showHelpAfterError(`(${programName} --help shows how)`)
    .addHelpText(
      "after",
      `\nExit codes and the configuration file: docs/reference/cli.md of the package connect-plugin-host.`,
    );
  const commands = [
    serveCommand,
    pluginsCommand,
    servicesCommand,
    orderCommand,
    impactCommand,
    planCommand,
    addCommand,
    removeCommand,
    releaseCommand,
    replaceCommand,
    strategyCommand,
    watchCommand,
    checkCommand,
    doctorCommand,
  ];
  for (const command of commands) program.addCommand(command(context));
  const output = {
    writeOut: (text: string) => stdout.write(text),
    writeErr: (text: string) => stderr.write(text),
  };
  settle(program, output);
  return program;
}

/** What commands do not get from the one that they are part of. */
function settle(command: Command, output: OutputConfiguration): void {
  command.exitOverride().configureOutput(output);
  for (const part of command.commands) {
    part.showHelpAfterError(`(${programName} ${part.parent === null ? "" : pathOf(part)} --help shows how)`);
    settle(part, output);
  }
}

const pathOf = (command: Command): string =>
  command.parent?.parent == null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return version;
}

const unexpected = (error: unknown): CliError =>
  new CliError(exitCodes.failed, error instanceof Error ? error.message : String(error));

function errorText({ message, details }: CliError, { stderr, variables }: CliEnvironment): string {
  const { red, dim } = styleFor(stderr.isTerminal, variables);
  const { hostCode, step, hint } = details;
  const facts = [hostCode, step === undefined ? undefined : `in step ${step}`].filter((fact) => fact !== undefined);
  // Behind the last words of a program it would be read as one of them.
  const between = message.includes("\n") ? "\n" : " ";
  const behind = facts.length === 0 ? "" : `${between}${dim(`(${facts.join(", ")})`)}`;
  return `${red("error:")} ${severalLines(message)}${behind}\n${hint === undefined ? "" : `${severalLines(hint)}\n`}`;
}

function errorJson({ message, exitCode, details }: CliError): string {
  const { code = null, hostCode = null, step = null, hint = null } = details;
  return `${JSON.stringify({ error: { message, exitCode, code, hostCode, step, hint } })}\n`;
}
