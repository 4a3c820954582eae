import { CliError } from "./cli-error.js";
import { exitCodes } from "./exit-codes.js";

interface KnownPlugin {
  readonly runtimeId: string;
  readonly selfId: string;
}

const listOf = (plugins: readonly KnownPlugin[]): string => plugins.map(({ runtimeId }) => runtimeId).join(", ");

/**
 * The runtime id that a person means: a runtime id, or else the self id of exactly one plugin, or else the beginning of
 * exactly one runtime id.
 *
 * @throws CliError `notFound`, or `usage` if it fits several
 */
export function resolvePluginId(text: string, plugins: readonly KnownPlugin[]): string {
  const exact = plugins.find(({ runtimeId }) => runtimeId === text);
  if (exact !== undefined) return exact.runtimeId;
  const named = plugins.filter(({ selfId }) => selfId === text);
  const fitting =
    named.length > 0 ? named : text === "" ? [] : plugins.filter(({ runtimeId }) => runtimeId.startsWith(text));
  const [only, ...others] = fitting;
  if (only === undefined) {
    throw new CliError(exitCodes.notFound, `no plugin is called ${JSON.stringify(text)}`, {
      hostCode: "PLUGIN_NOT_FOUND",
      hint: plugins.length === 0 ? "the host has no plugins" : `there is ${listOf(plugins)}`,
    });
  }
  if (others.length === 0) return only.runtimeId;
  throw new CliError(exitCodes.usage, `${JSON.stringify(text)} fits ${fitting.length} plugins`, {
    hint: `give one of ${listOf(fitting)}`,
  });
}
