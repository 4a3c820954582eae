import { invalid } from "../errors.js";

/** A program that the host starts as a process of its own. */
export interface ProcessSource {
  /** An absolute path, a path with a slash (from `cwd`), or a name that is looked up in PATH. No shell reads it. */
  readonly command: string;
  readonly args?: readonly string[];
  /**
   * Variables for the program, beside PORT, HOST_URL and HOSTNAME, which the host sets, and PATH, HOME, LANG and TZ, which
   * it passes on. Nothing else of the host's environment reaches the program. @default none
   */
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory. @default the host's */
  readonly cwd?: string;
  /**
   * What becomes of the program if the host's process ends without stopping it, such as by SIGKILL: `stop` kills all of
   * its process group at once; `keep` leaves it running, and its output is not captured then. @default "stop"
   */
  readonly onHostExit?: "stop" | "keep";
}

/** A {@link ProcessSource} with its defaults. */
export type ResolvedProcessSource = Required<ProcessSource>;

/** Variables that the host sets for every program. */
const ownVariables: readonly string[] = ["PORT", "HOST_URL", "HOSTNAME"];

/** Checks a source and fills in its defaults. @throws PluginHostError `INVALID_ARGUMENT` */
export function resolveProcessSource(given: ProcessSource): ResolvedProcessSource {
  const { command, args = [], env = {}, cwd = process.cwd(), onHostExit = "stop" } = given;
  checkText("command", command);
  if (command === "") throw invalid("command", "must name a program");
  if (!Array.isArray(args)) throw invalid("args", "must be an array of strings");
  args.forEach((arg, index) => checkText(`args[${index}]`, arg));
  if (typeof env !== "object" || env === null || Array.isArray(env))
    throw invalid("env", "must be an object of strings");
  for (const [name, value] of Object.entries(env)) {
    // Shells drop other names without a word, and one stands between the host and the program.
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw invalid(`env.${name}`, 'must have a name of letters, digits and "_" that does not begin with a digit');
    }
    if (ownVariables.includes(name)) throw invalid(`env.${name}`, "is set by the host and cannot be given");
    checkText(`env.${name}`, value);
  }
  checkText("cwd", cwd);
  if (onHostExit !== "stop" && onHostExit !== "keep") {
    throw invalid("onHostExit", `must be "stop" or "keep", got ${JSON.stringify(onHostExit)}`);
  }
  return Object.freeze({ command, args: Object.freeze([...args]), env: Object.freeze({ ...env }), cwd, onHostExit });
}

function checkText(field: string, value: unknown): asserts value is string {
  if (typeof value !== "string") throw invalid(field, `must be a string, got ${typeof value}`);
  if (value.includes("\0")) throw invalid(field, "must not contain a NUL character");
}
