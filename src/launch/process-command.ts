import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, resolve } from "node:path";
import { invalid, PluginHostError } from "../errors.js";
import { checkFormat, notExecutable } from "./process-format.js";

/** What a command is resolved with. */
export interface CommandContext {
  readonly cwd: string;
  /** PATH as the program gets it. */
  readonly path: string | undefined;
}

/**
 * Finds the program and checks that it can run here, so that the cause is known before anything is started.
 *
 * @returns its absolute path
 * @throws PluginHostError `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`, `COMMAND_WRONG_ARCHITECTURE`; `INVALID_ARGUMENT`
 * for a `cwd` that is no directory
 */
export async function resolveCommand(command: string, context: CommandContext): Promise<string> {
  const cwd = resolve(context.cwd);
  if ((await kindOf(cwd)) !== "directory") throw invalid("cwd", `is not a directory: ${cwd}`);
  const file = command.includes("/") ? await atPath(resolve(cwd, command)) : await inPath(command, cwd, context.path);
  await checkFormat(file, context.path);
  return file;
}

async function atPath(file: string): Promise<string> {
  const kind = await kindOf(file);
  if (kind === "missing") {
    throw new PluginHostError(
      "COMMAND_NOT_FOUND",
      `there is no file ${file}; build the plugin, or correct the command`,
      {
        details: { file },
      },
    );
  }
  if (kind !== "file") {
    throw notExecutable(file, "is not a regular file; name the program itself");
  }
  if (!(await isExecutable(file))) {
    throw notExecutable(file, `may not be executed by this user; try chmod +x, or a file system without noexec`);
  }
  return file;
}

async function inPath(name: string, cwd: string, path: string | undefined): Promise<string> {
  let refused: string | undefined;
  for (const folder of (path ?? "").split(delimiter)) {
    const file = resolve(cwd, folder, name);
    if ((await kindOf(file)) !== "file") continue;
    if (await isExecutable(file)) return file;
    refused ??= file;
  }
  if (refused !== undefined) {
    throw notExecutable(refused, "may not be executed by this user; try chmod +x");
  }
  // No shell reads it, so that a whole line is one name.
  const advice = name.includes(" ") ? "what stands behind its name goes into args" : "install it, or give its path";
  throw new PluginHostError(
    "COMMAND_NOT_FOUND",
    `no folder of PATH has a program ${JSON.stringify(name)}; ${advice} (PATH is ${path ?? "not set"})`,
    { details: { command: name } },
  );
}

async function kindOf(path: string): Promise<"missing" | "file" | "directory" | "other"> {
  try {
    const found = await stat(path);
    return found.isFile() ? "file" : found.isDirectory() ? "directory" : "other";
  } catch {
    return "missing";
  }
}

const isExecutable = (file: string): Promise<boolean> =>
  access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
