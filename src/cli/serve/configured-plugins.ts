import path from "node:path";
import { type HostedModule, importPlugin, type Platform, PluginHostError, type PluginSpec } from "../../index.js";
import type { ServeSettings } from "./serve-settings.js";

type ConfiguredPlugin = ServeSettings["plugins"][number];

/** Adds the plugins of the configuration in the order of their dependencies. All or none. */
export async function addConfiguredPlugins(
  platform: Platform,
  settings: ServeSettings,
  signal: AbortSignal,
): Promise<void> {
  const { plugins, folder } = settings;
  const specs = await Promise.all(plugins.map((plugin, index) => toSpec(plugin, folder, signal, index)));
  await platform.addPlugins(specs);
}

async function toSpec(
  plugin: ConfiguredPlugin,
  folder: string,
  signal: AbortSignal,
  index: number,
): Promise<PluginSpec> {
  const { endpoint, command, args, env, cwd, onHostExit, module, declares, limits } = plugin;
  const common = { signal, ...given({ declares, limits }) };
  if (endpoint !== undefined) return { ...common, endpoint };
  if (module !== undefined) return { ...common, module: await load(module, folder, index) };
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

/** As all errors of a set do, this one says which of the set it is. */
async function load(module: string, folder: string, index: number): Promise<HostedModule> {
  try {
    return await importPlugin(module, folder);
  } catch (error) {
    if (!(error instanceof PluginHostError)) throw error;
    throw new PluginHostError(error.code, error.message, { details: { index }, cause: error });
  }
}
