import type { Clock } from "./internal/clock.js";
import { checkDeclaration } from "./lifecycle/declaration-check.js";
import { dialAgain } from "./lifecycle/dial-again.js";
import type { StartSpec } from "./lifecycle/start-spec.js";
import type { PluginDeclaration } from "./model/declarations.js";
import type { RemoteOptions } from "./rpc/plugin-calls.js";
import { isReachable, openPluginRemote } from "./rpc/plugin-remote.js";

/**
 * What a plugin says of itself before it is added: what was declared for it, or its own word if it runs already.
 * Undefined if it cannot say.
 *
 * @throws PluginHostError `PLUGIN_UNREACHABLE`, `PLUGIN_PROTOCOL`, `INVALID_ARGUMENT`
 */
export async function describePlugin(
  { launcher, declares, limits }: StartSpec,
  clock: Clock,
  options: RemoteOptions,
  signal?: AbortSignal,
): Promise<PluginDeclaration | undefined> {
  const { address } = launcher;
  if (declares !== undefined || address === undefined || !isReachable(address)) return declares;
  const remote = openPluginRemote(address, options);
  const enough = new AbortController();
  const stop = (): void => enough.abort(signal?.reason);
  const limit = clock.after(limits.describeMs, stop, true);
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const ask = () => remote.getPluginInfo(enough.signal);
    const info = await dialAgain(clock, limits.connectGraceMs, enough.signal, ask);
    return info === "unimplemented" ? undefined : checkDeclaration("the plugin's info", info);
  } finally {
    limit.cancel();
    signal?.removeEventListener("abort", stop);
    remote.close();
  }
}
