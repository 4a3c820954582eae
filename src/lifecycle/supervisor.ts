import type { RuntimeId } from "../model/catalog.js";
import { isDown } from "../model/supervision.js";
import type { LivePlugin } from "./live-plugin.js";
import { type StartSpec, startSpecOf } from "./start-spec.js";
import { type Hold, SupervisedPlugin } from "./supervised-plugin.js";
import type { SupervisionParts } from "./supervision-parts.js";
import type { SupervisionSpec } from "./supervision-spec.js";

/** Whether the host can do what it is there for. */
export interface Readiness {
  /** `degraded`: a plugin does not run without which others are to go on. */
  readonly state: "ready" | "degraded" | "not-ready";
  /** For people, one for each plugin that does not run. */
  readonly reasons: readonly string[];
}

const nothingToHold: Hold = Object.freeze({ settled: undefined, resume: () => {} });

/** Notices the ends of plugins that the host started, and starts them again. */
export class Supervisor {
  readonly #parts: SupervisionParts;
  /** By the runtime id of the incarnation that everybody sees. */
  readonly #plugins = new Map<RuntimeId, SupervisedPlugin>();
  #isClosed = false;

  constructor(parts: SupervisionParts) {
    this.#parts = parts;
  }

  /** The plugin is about to be seen by everybody; from now on its end is noticed. Does nothing for endpoints. */
  watch(plugin: LivePlugin, spec: StartSpec): void {
    if (plugin.launched === undefined || plugin.launched.origin === "endpoint") return;
    this.#supervise(plugin, spec, false).watch();
  }

  /** The plugin failed to start, and is tried again. Nobody sees it yet. */
  watchAbsent(plugin: LivePlugin, spec: StartSpec, error: unknown, isNameOpen: boolean): void {
    this.#supervise(plugin, spec, isNameOpen).failedToStart(error);
  }

  /**
   * Starts a plugin again at once that waits, is quarantined or has ended. One that runs is left alone.
   *
   * @throws PluginHostError `OPERATION_CONFLICT`; why it did not start
   */
  async release(plugin: LivePlugin): Promise<LivePlugin> {
    return this.#plugins.get(plugin.runtimeId)?.release() ?? plugin;
  }

  /** Keeps the plugin from being started while something else is done to it. */
  hold({ runtimeId }: LivePlugin): Hold {
    return this.#plugins.get(runtimeId)?.hold() ?? nothingToHold;
  }

  /** How the plugin is supervised; undefined if it is not. */
  termsOf({ runtimeId }: LivePlugin): SupervisionSpec | undefined {
    return this.#plugins.get(runtimeId)?.terms;
  }

  /** Providers of these service types have changed: what waits for one of them may be startable now. */
  typesChanged(types: ReadonlySet<string>): void {
    for (const supervised of this.#plugins.values()) supervised.typesChanged(types);
  }

  readiness(): Readiness {
    const reasons: string[] = [];
    let state: Readiness["state"] = "ready";
    for (const { plugin, importance } of this.#plugins.values()) {
      if (importance === "optional" || !isDown(plugin.supervision) || plugin.phase.kind !== "serving") continue;
      if (importance === "required") state = "not-ready";
      else if (state === "ready") state = "degraded";
      reasons.push(`${plugin.runtimeId} (${importance}) is down: ${plugin.health.current.reason}`);
    }
    return { state, reasons };
  }

  /** Nothing is started again any more, and no timer is left. Ends are still noticed. */
  close(): void {
    this.#isClosed = true;
    for (const supervised of this.#plugins.values()) supervised.close();
  }

  #supervise(plugin: LivePlugin, spec: StartSpec, isNameOpen: boolean): SupervisedPlugin {
    const supervised = new SupervisedPlugin(plugin, startSpecOf(spec), this.#parts, {
      isNameOpen,
      onClose: (runtimeId) => void this.#plugins.delete(runtimeId),
      onBecome: (before, after) => {
        this.#plugins.delete(before.runtimeId);
        this.#plugins.set(after.runtimeId, supervised);
      },
    });
    this.#plugins.set(plugin.runtimeId, supervised);
    if (this.#isClosed) supervised.close();
    return supervised;
  }
}
