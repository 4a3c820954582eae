import path from "node:path";
import { findPlugin, importPlugin, type Platform, PluginHostError, type PluginSpec } from "../../index.js";
import type { ServeSettings } from "./serve-settings.js";
import { readUpstreamTls } from "./tls-files.js";

type ConfiguredPlugin = ServeSettings["plugins"][number];

/** Adds the plugins of the configuration in the order of their dependencies. All or none. Resolves with their ids. */
export async function addConfiguredPlugins(
  platform: Platform,
  settings: ServeSettings,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { plugins, folder } = settings;
  const specs = await Promise.all(plugins.map((plugin, index) => toSpec(plugin, folder, signal, index)));
  return (await platform.addPlugins(specs)).map(({ runtimeId }) => runtimeId);
}

/** What a plugin of the configuration is to the host. */
export async function toSpec(
  plugin: ConfiguredPlugin,
  folder: string,
  signal: AbortSignal,
  index: number,
): Promise<PluginSpec> {
  const { endpoint, command, args, env, cwd, onHostExit, module, worker, declares, limits, tls, restart, importance } =
    plugin;
  const common = { signal, ...given({ declares, limits, restart, importance }) };
  if (endpoint !== undefined) {
    if (tls === undefined) return { ...common, endpoint };
    return { ...common, endpoint, tls: await readUpstreamTls(tls, folder, `plugins[${index}].tls`) };
  }
  if (module !== undefined) return { ...common, module: await load(index, () => importPlugin(module, folder)) };
  if (worker !== undefined) {
    const { resourceLimits, maxBufferMb, watchdogMs } = plugin;
    const found = await load(index, async () => findPlugin(worker, folder));
    return { ...common, worker: found, ...given({ args, env, resourceLimits, maxBufferMb, watchdogMs }) } as PluginSpec;
  }
  // The schema has seen that there is one of the four.
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
async function load<T>(index: number, find: () => Promise<T>): Promise<T> {
  try {
    return await find();
  } catch (error) {
    if (!(error instanceof PluginHostError)) throw error;
    throw new PluginHostError(error.code, error.message, { details: { index }, cause: error });
  }
}
