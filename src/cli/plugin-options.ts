import path from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Command } from "commander";
import type { PluginDeclarationSchema, PluginSourceSchema } from "../gen/connectplugin/admin/v1/platform_pb.js";
import { CliError } from "./cli-error.js";
import { exitCodes } from "./exit-codes.js";
import { type HostAddress, isLocal } from "./host-address.js";
import { parseServiceReference } from "./service-reference.js";

/** Options that say where a plugin comes from. */
export interface SourceOptions {
  readonly module?: string;
  readonly worker?: string;
  readonly env?: readonly string[];
  readonly cwd?: string;
}

/** Options that say what a plugin is. */
export interface DeclarationOptions {
  readonly selfId?: string;
  readonly selfVersion?: string;
  readonly provides?: readonly string[];
  readonly requires?: readonly string[];
  readonly optional?: readonly string[];
}

/** Collects the values of an option that may be given several times. */
export const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  value,
];

/** Adds the options of {@link SourceOptions}. */
export const withSource = (command: Command): Command =>
  command
    .option("--module <specifier>", "a module that the host loads into its own process: a path or a package's name")
    .option("--worker <specifier>", "a module that the host runs in a worker thread: a path or a package's name")
    .option("--env <name=value>", "a variable for the program behind --; may be repeated", collect)
    .option("--cwd <folder>", "working directory of the program behind --; here, if the host is on this machine");

/** Adds the options of {@link DeclarationOptions}. */
export const withDeclaration = (command: Command): Command =>
  command
    .option("--self-id <name>", "what the plugin calls itself; the options below need it")
    .option("--self-version <version>", "the plugin's own version")
    .option("--provides <type@version[=/path]>", "a service that it provides; may be repeated", collect)
    .option("--requires <type[@range]>", "a service that it cannot work without; may be repeated", collect)
    .option("--optional <type[@range]>", "a service that it uses if it is there; may be repeated", collect);

const usage = (message: string, hint?: string): CliError => new CliError(exitCodes.usage, message, { hint });

const expectedSource =
  "give one of: a URL such as http://127.0.0.1:4001, --module SPECIFIER, --worker SPECIFIER, or -- COMMAND ARGUMENTS…";

/**
 * Where a plugin comes from. Paths are meant as seen from here if the host is on this machine.
 *
 * @throws CliError `usage`
 */
export function readSource(
  endpoint: string | undefined,
  options: SourceOptions,
  given: {
    readonly program: readonly string[] | undefined;
    readonly address: HostAddress;
    readonly workingDirectory: string;
  },
): MessageInitShape<typeof PluginSourceSchema> {
  const { worker, env, cwd } = options;
  const module = options.module ?? worker;
  const { program, workingDirectory } = given;
  const count = [endpoint, options.module, worker, program].filter((source) => source !== undefined).length;
  if (count === 0) throw usage("nothing says where the plugin comes from", expectedSource);
  if (count > 1) throw usage("a plugin comes from one place", expectedSource);
  if (program === undefined && (env !== undefined || cwd !== undefined)) {
    throw usage("--env and --cwd belong to a program behind --");
  }
  const local = isLocal(given.address);
  if (endpoint !== undefined) return { source: { case: "endpoint", value: { url: endpoint } } };
  if (module !== undefined) {
    const specifier = local && module.startsWith(".") ? path.resolve(workingDirectory, module) : module;
    return { source: { case: "module", value: { specifier, ...(worker !== undefined && { worker: true }) } } };
  }
  if (program?.[0] === undefined) throw usage("there is no command behind --", expectedSource);
  const folder =
    cwd === undefined ? (local ? workingDirectory : "") : local ? path.resolve(workingDirectory, cwd) : cwd;
  return {
    source: { case: "process", value: { command: [...program], env: readVariables(env ?? []), cwd: folder } },
  };
}

/** Reads `NAME=VALUE` assignments. @throws CliError `usage` */
export function readVariables(assignments: readonly string[]): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const assignment of assignments) {
    const equalsAt = assignment.indexOf("=");
    if (equalsAt < 1) throw usage(`--env must be NAME=VALUE, got ${JSON.stringify(assignment)}`);
    variables[assignment.slice(0, equalsAt)] = assignment.slice(equalsAt + 1);
  }
  return variables;
}

/** What a plugin is; undefined if nothing was said. @throws CliError `usage` */
export function readDeclaration(
  options: DeclarationOptions,
): MessageInitShape<typeof PluginDeclarationSchema> | undefined {
  const { selfId, selfVersion, provides = [], requires = [], optional = [] } = options;
  const saysSomething = selfVersion !== undefined || provides.length + requires.length + optional.length > 0;
  if (selfId === undefined) {
    if (saysSomething) throw usage("what a plugin provides and requires is said together with --self-id");
    return undefined;
  }
  const dependency = (requiredForStartup: boolean) => (text: string) => {
    const { type, version: minVersion } = parseServiceReference(text);
    return { type, minVersion, requiredForStartup };
  };
  return {
    selfId,
    selfVersion: selfVersion ?? "",
    provides: provides.map(parseServiceReference),
    requires: [...requires.map(dependency(true)), ...optional.map(dependency(false))],
  };
}
