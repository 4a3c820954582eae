import { PluginHostError } from "../errors.js";
import { exitText, type ProcessProgram } from "./process-program.js";

/** Hints for exit codes that shells give a meaning to. */
const hints = new Map<number, string>([
  [126, "the system refused to run it"],
  [127, "the system could not find it or something that it needs"],
]);

/** `PLUGIN_EXITED`: how the program ended, and what it wrote last. */
export function exitError(
  command: string,
  program: Pick<ProcessProgram, "exit" | "lastLines" | "pid">,
): PluginHostError {
  const exit = program.exit ?? { exitCode: undefined, signal: undefined };
  const lines = program.lastLines;
  const hint = exit.exitCode === undefined ? undefined : hints.get(exit.exitCode);
  const said =
    lines.length === 0 ? "it wrote nothing" : `it wrote last:\n${lines.map((line) => `  ${line}`).join("\n")}`;
  return new PluginHostError(
    "PLUGIN_EXITED",
    `${command} ${exitText(exit)}${hint === undefined ? "" : ` (${hint})`}; a plugin has to run until it is stopped; ${said}`,
    { details: { pid: program.pid, exitCode: exit.exitCode, signal: exit.signal, output: lines } },
  );
}

/** `PORT_IN_USE`: other processes took every port before the program could. */
export function noPortError(command: string, ports: readonly number[]): PluginHostError {
  return new PluginHostError(
    "PORT_IN_USE",
    `other processes listened on the ports ${ports.join(", ")} before ${command} could; try again, and look at what listens there`,
    { details: { ports } },
  );
}
