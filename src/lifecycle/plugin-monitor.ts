import type { PluginDeclaration } from "../model/declarations.js";
import { checkDeclaration } from "./declaration-check.js";
import type { LivePlugin } from "./live-plugin.js";
import type { PluginRemote } from "./plugin-remote.js";
import { pollPlugin } from "./poll-plugin.js";
import type { LifecyclePorts } from "./ports.js";

/** What monitoring finds out beside a plugin's health. */
export interface PluginMonitorOptions {
  readonly ports: LifecyclePorts;
  /** A plugin that registered by itself has said what it is. */
  readonly onDeclared: (plugin: LivePlugin, declaration: PluginDeclaration) => void;
  /** Nothing answers where the plugin was. */
  readonly onSilent: (plugin: LivePlugin) => void;
}

/** Polls plugins, and asks those that came by themselves once what they require. */
export class PluginMonitor {
  readonly #options: PluginMonitorOptions;

  constructor(options: PluginMonitorOptions) {
    this.#options = options;
  }

  /** Begins to poll the plugin's health at its present address; takes the place of an earlier poll. */
  start(plugin: LivePlugin): void {
    const { ports, onSilent } = this.#options;
    if (plugin.visibility.kind === "gone") return;
    if (plugin.address.kind === "external") {
      // Nobody can ask it anything; without a report it counts as well.
      plugin.health.startPolling(async () => ({ kind: "answered", verdict: "healthy", reason: "" }));
      return;
    }
    plugin.remote ??= ports.openRemote(plugin.address, () => plugin.controlSecret);
    const { remote } = plugin;
    const poll = pollPlugin(remote, () => {
      for (const { metadata } of plugin.registrations.values()) if (metadata.health_path) return metadata.health_path;
      return plugin.metadata.health_path || undefined;
    });
    let asked = plugin.hasDeclared;
    plugin.health.startPolling(async (signal) => {
      try {
        const result = await poll(signal);
        ports.identities.proveAlive(plugin.runtimeId);
        if (!asked) asked = await this.#ask(plugin, remote, signal);
        return result;
      } catch (error) {
        onSilent(plugin);
        throw error;
      }
    });
  }

  /** Whether there is no need to ask again. */
  async #ask(plugin: LivePlugin, remote: PluginRemote, signal: AbortSignal): Promise<boolean> {
    try {
      const declaration = await remote.getPluginInfo(signal);
      // Somebody else may answer at the address that a plugin gave for its own.
      if (declaration === "unimplemented" || declaration.selfId !== plugin.selfId) return true;
      this.#options.onDeclared(plugin, checkDeclaration("the plugin's info", declaration));
    } catch (error) {
      if (signal.aborted) return false;
      // It serves all the same; what it really uses is observed.
      this.#options.ports.emit("warning", { message: `${plugin.runtimeId} did not say what it requires`, error });
    }
    return true;
  }
}
