import { PluginHostError } from "../errors.js";
import type { PluginDeclaration } from "../model/declarations.js";
import type { PluginRemote } from "./plugin-remote.js";

/**
 * What a program is that has no PluginIdentity: what its handshake lists, with `declares` filling in the rest; else what it
 * `registered` by itself, for which it gets a moment if the host launched it.
 *
 * @throws PluginHostError `PLUGIN_PROTOCOL` if neither says enough
 */
export async function describeWithoutIdentity(
  remote: PluginRemote,
  declares: PluginDeclaration | undefined,
  registered: () => Promise<PluginDeclaration | undefined>,
  signal: AbortSignal,
): Promise<PluginDeclaration> {
  const services = await remote.handshake(signal);
  if (services === "unimplemented") {
    if (declares !== undefined) return declares;
    const own = await registered();
    if (own !== undefined) return own;
    throw new PluginHostError(
      "PLUGIN_PROTOCOL",
      "the plugin answers, but serves neither PluginIdentity nor a handshake, and has not registered; say what it provides with `declares`",
    );
  }
  const selfId = declares?.selfId ?? services[0]?.type;
  if (selfId === undefined) {
    throw new PluginHostError("PLUGIN_PROTOCOL", "the endpoint's handshake lists no plugins; use `declares`");
  }
  return {
    selfId,
    selfVersion: declares?.selfVersion ?? services[0]?.version ?? "",
    provides: services,
    requires: declares?.requires ?? [],
    metadata: declares?.metadata ?? {},
    // A handshake has no place for what the program as a whole requires.
    ...(declares === undefined && { silentOn: ["requires"] as const }),
  };
}
