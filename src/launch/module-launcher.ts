import type { Duplex } from "node:stream";
import { PluginHostError } from "../errors.js";
import { randomHex } from "../internal/ids.js";
import type { HostedModule } from "../link/hosted-module.js";
import type { InProcessHost } from "../link/in-process-route.js";
import type { LaunchEnd, LaunchedPlugin, PluginLauncher } from "../model/launch.js";

/** How modules reach the host. */
export interface ModuleLauncherOptions {
  readonly hostUrl: () => string;
  readonly connectHost: () => Duplex;
  readonly inProcess?: InProcessHost;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A plugin that runs in the host's process, reached over connections in memory. */
export function moduleLauncher(module: HostedModule, options: ModuleLauncherOptions): PluginLauncher {
  return {
    origin: "module",
    address: undefined,
    declares: { selfId: module.id, selfVersion: module.version, ...module.declares, metadata: {} },
    launch: async ({ signal }): Promise<LaunchedPlugin> => {
      const { connectHost, hostUrl, inProcess } = options;
      const environment = { hostUrl: hostUrl(), connectHost, signal, ...(inProcess && { inProcess }) };
      const running = await module.start(environment).catch((cause: unknown) => {
        throw new PluginHostError("PLUGIN_FAILED", `${module.id} failed to start: ${messageOf(cause)}`, { cause });
      });
      const ended = running.ended.then(
        (): LaunchEnd => ({ reason: "it shut down", error: undefined }),
        (error: unknown): LaunchEnd => ({ reason: messageOf(error), error }),
      );
      return {
        origin: "module",
        address: {
          kind: "module",
          id: `${module.id}-${randomHex(6)}`,
          connect: () => running.connect(),
          services: running.services,
        },
        ended,
        stop: (graceMs) => running.stop(graceMs),
      };
    },
  };
}
