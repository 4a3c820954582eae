import path from "node:path";
import { importPlugin, PluginHostError, type PluginSpec } from "../../index.js";
import { CliError } from "../cli-error.js";
import { exitCodes } from "../exit-codes.js";
import { readVariables } from "../plugin-options.js";
import type { DoctorSection } from "./doctor-report.js";
import { failure } from "./tell-start.js";

/** Options of `doctor`. */
export interface DoctorOptions {
  readonly endpoint?: string;
  readonly module?: string;
  readonly worker?: string;
  readonly config?: string;
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly standIn?: readonly string[];
  /** False for `--no-stand-ins`. */
  readonly standIns?: boolean;
  /** Milliseconds. */
  readonly timeout?: number;
  /** Milliseconds. */
  readonly grace?: number;
  readonly json?: boolean;
}

/** What is examined: one plugin, or those of a configuration. */
export type Subject =
  | { readonly kind: "program" | "endpoint" | "worker"; readonly name: string; readonly spec: PluginSpec }
  | { readonly kind: "module"; readonly name: string; readonly specifier: string }
  | { readonly kind: "config"; readonly name: string; readonly file: string };

const usage = (message: string): CliError =>
  new CliError(exitCodes.usage, message, {
    hint: "such as: connect-plugin-host doctor -- ./my-plugin, or doctor --endpoint http://127.0.0.1:4001, --module ./plugin.js, --config host.yaml",
  });

/** What the command line names. @throws CliError `usage` */
export function readSubject(command: readonly string[], options: DoctorOptions, workingDirectory: string): Subject {
  const { endpoint, module, worker, config, env, cwd } = options;
  const [program, ...args] = command;
  const count = [program, endpoint, module, worker, config].filter((source) => source !== undefined).length;
  if (count === 0) throw usage("nothing says what to examine");
  if (count > 1) throw usage("one thing at a time: a command, --endpoint, --module, --worker or --config");
  if (program === undefined && (env !== undefined || cwd !== undefined))
    throw usage("--env and --cwd belong to a command");
  if (endpoint !== undefined) return { kind: "endpoint", name: endpoint, spec: { endpoint } };
  if (module !== undefined) return { kind: "module", name: module, specifier: module };
  if (worker !== undefined) {
    return { kind: "worker", name: worker, spec: { worker: path.resolve(workingDirectory, worker) } };
  }
  if (config !== undefined) return { kind: "config", name: config, file: config };
  const spec = {
    command: program ?? "",
    args,
    cwd: path.resolve(workingDirectory, cwd ?? "."),
    env: readVariables(env ?? []),
  };
  return { kind: "program", name: command.join(" "), spec };
}

/** Loads a module to examine; undefined, and told, if that fails. */
export async function loadModule(
  section: DoctorSection,
  specifier: string,
  folder: string,
): Promise<PluginSpec | undefined> {
  const startedAt = performance.now();
  try {
    const module = await importPlugin(specifier, folder);
    section.ok("module", "loaded; its default export is a plugin", performance.now() - startedAt);
    return { module };
  } catch (error) {
    if (!(error instanceof PluginHostError)) throw error;
    section.put("module", failure(error, "module"));
    section.close("not reached");
    return undefined;
  }
}
