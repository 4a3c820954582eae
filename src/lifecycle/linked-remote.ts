import { PluginHostError } from "../errors.js";
import type { PluginAddress } from "../model/address.js";
import type { LivePlugin } from "./live-plugin.js";
import type { PluginRemote } from "./plugin-remote.js";
import type { LifecyclePorts } from "./ports.js";

/** What {@link linkedRemote} needs. */
export type LinkedRemotePorts = Pick<LifecyclePorts, "openRemote" | "remoteOverLink">;

/**
 * Asks a plugin that has dialled a link: over the link while it is open, otherwise at the plugin's address, if it has one.
 *
 * @param before what asked it at its address until now
 */
export function linkedRemote(
  ports: LinkedRemotePorts,
  plugin: Pick<LivePlugin, "runtimeId" | "address" | "controlSecret">,
  before: PluginRemote | undefined,
): PluginRemote {
  let direct: { readonly address: PluginAddress; readonly remote: PluginRemote } | undefined =
    before === undefined ? undefined : { address: plugin.address, remote: before };
  const remote = (): PluginRemote => {
    const overLink = ports.remoteOverLink(plugin.runtimeId);
    if (overLink !== undefined) return overLink;
    const { address } = plugin;
    if (address.kind === "link" || address.kind === "worker" || address.kind === "external") {
      throw new PluginHostError("PLUGIN_UNREACHABLE", "its link is broken, and it has no other address");
    }
    if (direct?.address !== address) {
      direct = { address, remote: ports.openRemote(address, () => plugin.controlSecret) };
    }
    return direct.remote;
  };
  return {
    getPluginInfo: async (signal) => remote().getPluginInfo(signal),
    handshake: async (signal) => remote().handshake(signal),
    setRuntimeIdentity: async (identity, signal) => remote().setRuntimeIdentity(identity, signal),
    getHealth: async (signal) => remote().getHealth(signal),
    connect: async (signal) => remote().connect(signal),
    getStatus: async (path, signal) => remote().getStatus(path, signal),
    shutdown: async (graceMs, reason, signal) => remote().shutdown(graceMs, reason, signal),
    close: () => direct?.remote.close(),
  };
}
