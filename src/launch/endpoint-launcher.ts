import type { PluginAddress } from "../model/address.js";
import type { LaunchedPlugin, PluginLauncher } from "../model/launch.js";

/** A plugin that runs already, at an address that the caller gives. Starts nothing and stops nothing. */
export function endpointLauncher(address: PluginAddress): PluginLauncher {
  return {
    origin: "endpoint",
    address,
    declares: undefined,
    launch: async (): Promise<LaunchedPlugin> => ({
      origin: "endpoint",
      address,
      ended: new Promise(() => {}),
      stop: async () => {},
    }),
  };
}
