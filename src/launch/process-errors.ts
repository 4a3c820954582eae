import { PluginHostError } from "../errors.js";
import { findCrash } from "./process-crash.js";
import { exitText, type ProcessProgram } from "./process-program.js";

/** Hints for exit codes that shells give a meaning to. */
const hints = new Map<number, string>([
  [126, "the system refused to run it"],
  [127, "the system could not find it or something that it needs"],
]);

/** What programs of most languages and libraries say when they cannot have a port. */
const portTaken = /EADDRINUSE|address already in use/i;

/** Lines that tell what a program lacks, each with what to do about it. */
const lacking: readonly (readonly [RegExp, string])[] = [
  [
    /error while loading shared libraries|Library not loaded/,
    "install the library that it names, or link it statically",
  ],
  [/ERR_MODULE_NOT_FOUND|Cannot find (module|package)|ModuleNotFoundError/, "install its packages, and look at cwd"],
];

/**
 * How the program ended, and what it wrote last: `PLUGIN_CRASHED` for a signal and for an error that nobody handled;
 * `PORT_IN_USE` if it wanted a port that is taken; else `PLUGIN_EXITED`.
 */
export function exitError(
  command: string,
  program: Pick<ProcessProgram, "exit" | "lastLines" | "pid">,
): PluginHostError {
  const exit = program.exit ?? { exitCode: undefined, signal: undefined };
  const lines = program.lastLines;
  const said =
    lines.length === 0 ? "it wrote nothing" : `it wrote last:\n${lines.map((line) => `  ${line}`).join("\n")}`;
  const details = { pid: program.pid, exitCode: exit.exitCode, signal: exit.signal, output: lines };
  const how = `${command} ${exitText(exit)}`;
  if (exit.exitCode !== 0 && lines.some((line) => portTaken.test(line))) {
    const message = `${how}, because an address that it wants to listen on is in use; the port in PORT was free, listen there; ${said}`;
    return new PluginHostError("PORT_IN_USE", message, { details });
  }
  const need = lacking.find(([mark]) => exit.exitCode !== 0 && lines.some((line) => mark.test(line)))?.[1];
  // Run times end a program that lacks something as they end one that fails.
  const crash = need === undefined ? findCrash(exit, lines) : undefined;
  const why = need ?? (exit.exitCode === undefined ? undefined : hints.get(exit.exitCode));
  const hint = why === undefined ? "" : ` (${why})`;
  if (crash !== undefined) {
    return new PluginHostError("PLUGIN_CRASHED", `${how}: ${crash}${hint}; ${said}`, { details });
  }
  return new PluginHostError("PLUGIN_EXITED", `${how}${hint}; a plugin has to run until it is stopped; ${said}`, {
    details,
  });
}

/** `PORT_IN_USE`: other processes took every port before the program could. */
export function noPortError(command: string, ports: readonly number[]): PluginHostError {
  return new PluginHostError(
    "PORT_IN_USE",
    `other processes listened on the ports ${ports.join(", ")} before ${command} could; try again, and look at what listens there`,
    { details: { ports } },
  );
}

/** `PLUGIN_NOT_LISTENING`: the program runs, and the time is over. `elsewhere` is where it listens instead. */
export function notListeningError(
  command: string,
  program: Pick<ProcessProgram, "pid">,
  { port, elsewhere, cause }: { readonly port: number; readonly elsewhere: readonly string[]; readonly cause: Error },
): PluginHostError {
  const seen = elsewhere.length === 0 ? "listens nowhere" : `listens on ${elsewhere.join(" and ")}`;
  return new PluginHostError(
    "PLUGIN_NOT_LISTENING",
    `${command} runs as process ${program.pid} and ${seen}; it must listen on http://127.0.0.1:${port} (PORT and HOSTNAME); ` +
      `${cause.message}; if it only needs longer, raise limits.describeMs`,
    { cause, details: { port, elsewhere } },
  );
}
