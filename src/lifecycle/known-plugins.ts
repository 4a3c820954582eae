import { PluginHostError } from "../errors.js";
import type { RuntimeId } from "../model/catalog.js";
import type { LivePlugin } from "./live-plugin.js";
import type { VisibleState } from "./ports.js";

/** Finds plugins, whoever can see them: by runtime id, also by one of the past, or by address. */
export class KnownPlugins {
  protected readonly plugins = new Map<RuntimeId, LivePlugin>();
  readonly #state: Pick<VisibleState, "resolveAlias">;

  constructor(state: Pick<VisibleState, "resolveAlias">) {
    this.#state = state;
  }

  /** The plugin with this runtime id, whoever can see it. */
  get(runtimeId: RuntimeId): LivePlugin | undefined {
    return this.plugins.get(runtimeId);
  }

  /** The plugin with this runtime id, or its incarnation that runs now if it was started again. */
  latest(runtimeId: RuntimeId): LivePlugin | undefined {
    const known = this.plugins.get(runtimeId);
    if (known !== undefined) return known;
    for (const plugin of this.plugins.values()) if (plugin.earlierIds.includes(runtimeId)) return plugin;
    return undefined;
  }

  /** The visible plugin with this runtime id, or what it was started again as. @throws PluginHostError `PLUGIN_NOT_FOUND` */
  committed(runtimeId: RuntimeId): LivePlugin {
    const plugin = this.latest(runtimeId);
    if (plugin?.visibility.kind === "committed") return plugin;
    const successor = this.#state.resolveAlias(runtimeId);
    const hint = successor === runtimeId ? "plugins() lists those that exist" : `it was replaced by ${successor}`;
    throw new PluginHostError("PLUGIN_NOT_FOUND", `no plugin has the runtime id ${JSON.stringify(runtimeId)}; ${hint}`);
  }

  /** The visible plugin that answers for this runtime id, itself or its successor, unless it is going, too. */
  servingFor(runtimeId: RuntimeId): LivePlugin | undefined {
    const plugin = this.plugins.get(this.#state.resolveAlias(runtimeId));
    return plugin?.visibility.kind === "committed" && plugin.phase.kind === "serving" ? plugin : undefined;
  }

  /** All plugins, in the order in which they came. */
  all(): IterableIterator<LivePlugin> {
    return this.plugins.values();
  }

  /** Plugins at an address that are not gone, and have not ended. */
  at(key: string): LivePlugin[] {
    return [...this.plugins.values()].filter((plugin) => plugin.addressKey === key && !plugin.hasEnded);
  }

  /** Whether the plugin is still there, and nothing else lives at its address. */
  isAlone(plugin: LivePlugin): boolean {
    if (plugin.visibility.kind === "gone") return false;
    return plugin.addressKey === undefined || this.at(plugin.addressKey).every((other) => other === plugin);
  }

  /** An earlier start of the same program, which must be dead since another one has its address. */
  protected earlierStartOf(plugin: LivePlugin): LivePlugin | undefined {
    const key = plugin.addressKey;
    if (key === undefined) return undefined;
    return this.at(key).find(
      (other) => other !== plugin && other.selfId === plugin.selfId && other.visibility.kind === "committed",
    );
  }
}
