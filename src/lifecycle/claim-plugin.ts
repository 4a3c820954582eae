import type { PluginAddress } from "../model/address.js";
import type { LivePlugin } from "./live-plugin.js";
import type { Operation } from "./operation.js";
import type { PluginDirectory } from "./plugin-directory.js";
import type { PluginRemote } from "./plugin-remote.js";
import type { StartSpec } from "./start-spec.js";

/** The start that claims a plugin. */
export interface Claimant {
  readonly spec: StartSpec;
  readonly operation: Operation;
  readonly directory: PluginDirectory;
  /** What the start asks the plugin with, if it has come so far. */
  readonly remote: () => PluginRemote | undefined;
}

/**
 * An operation has found a program that came by itself to be its own, at `address`. `isLaunched`: the host has started it for this
 * operation. What came by itself stays so if the operation fails.
 */
export function claimPlugin(start: Claimant, plugin: LivePlugin, address: PluginAddress, isLaunched: boolean): void {
  const { spec, operation, directory } = start;
  const before = { origin: plugin.origin, launched: plugin.launched, address: plugin.address };
  plugin.address = address;
  if (plugin.visibility.kind === "joined") plugin.visibility = { kind: "staged" };
  if (isLaunched) {
    // It calls before it is asked what it is; what was declared for it counts from its first call on.
    if (spec.declares !== undefined) plugin.permit(spec.declares);
    // The host started it, so it goes if the operation fails; its `ProgramStart` sees to that.
    plugin.origin = spec.launcher.origin;
    return;
  }
  operation.onRollback(() => {
    if (plugin.visibility.kind === "gone") return;
    plugin.origin = before.origin;
    plugin.launched = before.launched;
    if (plugin.remote === start.remote()) plugin.remote = undefined;
    if (plugin.visibility.kind === "staged" && plugin.registrations.size === 0) {
      plugin.address = before.address;
      plugin.visibility = { kind: "joined" };
      return;
    }
    directory.monitor(plugin);
    if (plugin.visibility.kind === "staged") directory.commit(plugin);
    else directory.publish(plugin);
  });
}
