import path from "node:path";
import { importPlugin, type Platform, PluginHostError, type PluginSpec } from "../../index.js";
import type { ServeSettings } from "./serve-settings.js";

type ConfiguredPlugin = ServeSettings["plugins"][number];

/** Adds the plugins of the configuration in the order of their dependencies. All or none. */
export async function addConfiguredPlugins(
  platform: Platform,
  settings: ServeSettings,
  signal: AbortSignal,
): Promise<void> {
  const { plugins, folder } = settings;
  const specs = await Promise.all(
    plugins.map((plugin, index) => naming(`plugins[${index}]`, () => toSpec(plugin, folder, signal))),
  );
  await platform.addPlugins(specs);
}

async function toSpec(plugin: ConfiguredPlugin, folder: string, signal: AbortSignal): Promise<PluginSpec> {
  const { endpoint, command, args, env, cwd, onHostExit, module, declares, limits } = plugin;
  const common = { signal, ...given({ declares, limits }) };
  if (endpoint !== undefined) return { ...common, endpoint };
  if (module !== undefined) return { ...common, module: await importPlugin(module, folder) };
  // The schema has seen that there is one of the three.
  return {
    ...common,
    command: command ?? "",
    cwd: path.resolve(folder, cwd ?? ""),
    ...given({ args, env, onHostExit }),
  };
}

/** Without what was left out. */
const given = <T extends object>(values: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;

/** An error about one plugin names which one of the file it is. */
async function naming<T>(where: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof PluginHostError)) throw error;
    const { code, message, step, details } = error;
    throw new PluginHostError(code, `${where}: ${message}`, {
      field: where,
      details,
      cause: error,
      ...given({ step }),
    });
  }
}
