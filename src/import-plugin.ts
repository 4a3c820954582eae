import { stat } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { invalid, PluginHostError } from "./errors.js";
import type { HostedModule } from "./link/hosted-module.js";

/**
 * Loads a module that holds a plugin: its default export, which is what `definePlugin` returns. A file that has changed
 * since it was loaded is loaded again, without the modules that it imports itself.
 *
 * @param specifier a path that begins with `.` or `/`, a `file:` URL, or the name of a package
 * @param folder from where paths and packages are looked for; the process's working directory if left out
 * @throws PluginHostError `PLUGIN_FAILED` if it cannot be loaded, `INVALID_ARGUMENT` if it holds no plugin
 */
export async function importPlugin(specifier: string, folder: string = process.cwd()): Promise<HostedModule> {
  let loaded: { readonly default?: unknown };
  try {
    const file = fileOf(specifier, folder);
    const { mtimeMs } = await stat(file);
    loaded = await import(`${pathToFileURL(file).href}?changed=${mtimeMs}`);
  } catch (cause) {
    throw cannotLoad(specifier, cause);
  }
  const module = loaded.default as Partial<HostedModule> | undefined;
  if (typeof module?.start === "function") return module as HostedModule;
  throw invalid("module", `${specifier} must have what definePlugin returns as its default export`);
}

/**
 * Finds the file of a module that holds a plugin, without loading it.
 *
 * @param specifier as for {@link importPlugin}
 * @throws PluginHostError `PLUGIN_FAILED` if there is no such package
 */
export function findPlugin(specifier: string, folder: string = process.cwd()): string {
  try {
    return fileOf(specifier, folder);
  } catch (cause) {
    throw cannotLoad(specifier, cause);
  }
}

function cannotLoad(specifier: string, cause: unknown): PluginHostError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new PluginHostError("PLUGIN_FAILED", `the module ${specifier} cannot be loaded: ${why}`, { cause });
}

function fileOf(specifier: string, folder: string): string {
  if (specifier.startsWith("file:")) return fileURLToPath(specifier);
  if (specifier.startsWith(".") || path.isAbsolute(specifier)) return path.resolve(folder, specifier);
  // Resolved as a module in that folder would, wherever the host's own code lies.
  return createRequire(path.join(folder, "module.js")).resolve(specifier);
}
