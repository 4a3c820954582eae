import { PluginHostError } from "../errors.js";
import { randomHex } from "../internal/ids.js";
import { addressKey, type PluginAddress } from "../model/address.js";
import type { Change, PluginOrigin, Registration, RuntimeId } from "../model/catalog.js";
import type { PluginDeclaration } from "../model/declarations.js";
import type { Health, HealthVerdict } from "../model/health.js";
import { Aliases } from "./aliases.js";
import { LivePlugin, type Visibility } from "./live-plugin.js";
import { pollPlugin } from "./poll-plugin.js";
import type { LifecyclePorts } from "./ports.js";
import { Reactions } from "./reactions.js";

/** A service that a plugin registers, already checked. */
export interface ServiceRegistrationInput {
  readonly type: string;
  readonly version: string;
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What the directory needs beside the ports. */
export interface PluginDirectoryOptions {
  readonly ports: LifecyclePorts;
  readonly aliasLifeMs: number;
  readonly maxRegistrationsPerPlugin: number;
}

/** A new plugin for {@link PluginDirectory.create}. */
export interface NewPlugin {
  readonly runtimeId: RuntimeId;
  readonly selfId: string;
  readonly selfVersion: string;
  readonly origin: PluginOrigin;
  readonly address: PluginAddress;
  readonly visibility: Visibility;
}

/**
 * All started plugins, seen or not yet seen by others, and the only writer of the visible state. Everything here is
 * synchronous, so nothing can come between a check and the change that it allows.
 */
export class PluginDirectory {
  readonly reactions = new Reactions();
  readonly aliases: Aliases;
  readonly #ports: LifecyclePorts;
  readonly #options: PluginDirectoryOptions;
  readonly #plugins = new Map<RuntimeId, LivePlugin>();

  constructor(options: PluginDirectoryOptions) {
    this.#options = options;
    this.#ports = options.ports;
    this.aliases = new Aliases({
      clock: options.ports.clock,
      lifeMs: options.aliasLifeMs,
      apply: (changes) => void this.#ports.state.apply(changes),
    });
  }

  /** The plugin with this runtime id, whoever can see it. */
  get(runtimeId: RuntimeId): LivePlugin | undefined {
    return this.#plugins.get(runtimeId);
  }

  /** The visible plugin with this runtime id. @throws PluginHostError `PLUGIN_NOT_FOUND` */
  committed(runtimeId: RuntimeId): LivePlugin {
    const plugin = this.#plugins.get(runtimeId);
    if (plugin?.visibility.kind === "committed") return plugin;
    const successor = this.#ports.state.resolveAlias(runtimeId);
    const hint = successor === runtimeId ? "plugins() lists those that exist" : `it was replaced by ${successor}`;
    throw new PluginHostError("PLUGIN_NOT_FOUND", `no plugin has the runtime id ${JSON.stringify(runtimeId)}; ${hint}`);
  }

  /** All plugins, in the order in which they came. */
  all(): IterableIterator<LivePlugin> {
    return this.#plugins.values();
  }

  /** Plugins at an address that are not gone. */
  at(key: string): LivePlugin[] {
    return [...this.#plugins.values()].filter((plugin) => plugin.addressKey === key);
  }

  /** Adds a plugin that nobody sees before `commit`, unless `visibility` says otherwise. */
  create(init: NewPlugin): LivePlugin {
    const { clock } = this.#ports;
    let plugin: LivePlugin | undefined;
    const health = this.#ports.monitorHealth((now, before) => {
      if (plugin === undefined) return;
      this.#healthChanged(plugin, now, before);
      for (const listener of [...plugin.healthListeners]) listener();
    });
    plugin = new LivePlugin({ ...init, startedAt: clock.now(), since: clock.monotonic() }, health);
    plugin.inFlight.onChange = () => this.#ports.inFlightChanged(init.runtimeId);
    this.#plugins.set(plugin.runtimeId, plugin);
    return plugin;
  }

  /** Makes a plugin and all its registrations visible in one revision, together with `changes`. */
  commit(plugin: LivePlugin, changes: readonly Change[] = []): void {
    const isNew = plugin.visibility.kind !== "committed";
    plugin.visibility = { kind: "committed" };
    plugin.committedAt ??= this.#ports.clock.monotonic();
    const registrations = [...plugin.registrations.values()];
    this.#ports.state.apply([
      { kind: "plugin-put", plugin: plugin.record() },
      ...registrations.map((registration): Change => ({ kind: "registration-put", registration })),
      ...changes,
    ]);
    if (!isNew) return;
    this.#ports.emit("plugin-added", { plugin: plugin.record() });
    for (const registration of registrations) this.#ports.emit("registered", { registration });
  }

  /** Writes a changed plugin to the visible state; does nothing while nobody sees it. */
  publish(plugin: LivePlugin): void {
    if (plugin.visibility.kind !== "committed") return;
    this.#ports.state.apply([{ kind: "plugin-put", plugin: plugin.record() }]);
  }

  /**
   * Adds or updates one service. The same type, version and path is an update and keeps its registration id.
   *
   * @throws PluginHostError `LIMIT_REACHED`
   */
  putRegistration(plugin: LivePlugin, input: ServiceRegistrationInput): Registration {
    const existing = [...plugin.registrations.values()].find(
      (known) => known.type === input.type && known.version === input.version && known.path === input.path,
    );
    if (existing === undefined && plugin.registrations.size >= this.#options.maxRegistrationsPerPlugin) {
      throw new PluginHostError(
        "LIMIT_REACHED",
        `${plugin.runtimeId} has ${plugin.registrations.size} registrations, which is the limit for one plugin`,
      );
    }
    const registration: Registration = Object.freeze({
      ...input,
      registrationId: existing?.registrationId ?? `reg-${randomHex(12)}`,
      runtimeId: plugin.runtimeId,
      registeredAt: existing?.registeredAt ?? this.#ports.clock.now(),
    });
    plugin.registrations.set(registration.registrationId, registration);
    if (plugin.visibility.kind === "committed") {
      this.#ports.state.apply([{ kind: "registration-put", registration }]);
      this.#ports.emit("registered", { registration });
    }
    return registration;
  }

  /** Takes one service of the plugin away. */
  removeRegistration(plugin: LivePlugin, registration: Registration): void {
    plugin.registrations.delete(registration.registrationId);
    if (plugin.visibility.kind !== "committed") return;
    this.#ports.state.apply([{ kind: "registration-removed", registrationId: registration.registrationId }]);
    this.#ports.emit("unregistered", { registration });
  }

  /** Takes all services of a visible plugin away and stops new calls to it, in one revision. */
  withdraw(plugin: LivePlugin, reason: string): void {
    const { changes, announce } = this.#withdrawal(plugin, reason);
    this.#ports.state.apply(changes);
    announce();
  }

  /** Makes `after` visible and withdraws `before`, whose id leads to `after` from now on, in one revision. */
  switchOver(before: LivePlugin, after: LivePlugin, reason: string): void {
    const { changes, announce } = this.#withdrawal(before, reason);
    const alias = this.aliases.add(before.runtimeId, after.runtimeId, this.#plugins.keys());
    this.commit(after, [...changes, alias]);
    announce();
    this.#ports.emit("plugin-replaced", { before: before.record(), after: after.record() });
  }

  /** Begins to poll the plugin's health at its present address, and asks it once what it requires. */
  monitor(plugin: LivePlugin): void {
    if (plugin.address.kind === "external") {
      // Nobody can ask it anything; without a report it counts as well.
      plugin.health.startPolling(async () => ({ kind: "answered", verdict: "healthy", reason: "" }));
      return;
    }
    plugin.remote ??= this.#ports.openRemote(plugin.address);
    const { remote } = plugin;
    const poll = pollPlugin(remote, () => {
      for (const { metadata } of plugin.registrations.values()) if (metadata.health_path) return metadata.health_path;
      return undefined;
    });
    let asked = plugin.hasDeclared;
    plugin.health.startPolling(async (signal) => {
      try {
        const result = await poll(signal);
        this.#ports.identities.proveAlive(plugin.runtimeId);
        if (!asked) {
          asked = true;
          const declaration = await remote.getPluginInfo(signal).catch(() => "unimplemented" as const);
          if (declaration !== "unimplemented") this.#declared(plugin, declaration);
        }
        return result;
      } catch (error) {
        this.#forgetIfDeserted(plugin);
        throw error;
      }
    });
  }

  /** The plugin reports its own health. */
  report(plugin: LivePlugin, verdict: HealthVerdict, reason: string, unavailableDependencies: readonly string[]): void {
    plugin.health.report(verdict, reason, unavailableDependencies);
    this.reactions.reported(plugin.runtimeId);
  }

  /** The plugin discovered, watched or called `type`: a real dependency of a plugin that declared none. */
  observe(plugin: LivePlugin, type: string): void {
    if (plugin.hasDeclared || plugin.requires.some((known) => known.type === type)) return;
    const observed = { type, minVersion: "", required: false, watch: false, source: "observed" as const };
    plugin.requires = [...plugin.requires, observed];
    this.publish(plugin);
  }

  /** Ends a plugin: its identity, its registrations, its connections, its place in the visible state. Idempotent. */
  retire(plugin: LivePlugin, reason: string): void {
    const { kind } = plugin.visibility;
    if (kind === "gone") return;
    this.#ports.identities.revoke(plugin.runtimeId);
    const changes = this.#end(plugin);
    if (changes.length > 0) this.#ports.state.apply(changes);
    if (kind === "committed") this.#announceEnd(plugin, reason);
  }

  /** `plugin` turned out to be the same program as `into`: its tokens count for that one, and nothing else of it is left. */
  absorb(plugin: LivePlugin, into: LivePlugin): void {
    const wasVisible = plugin.visibility.kind === "committed";
    this.#ports.identities.merge(plugin.runtimeId, into.runtimeId);
    const changes = this.#end(plugin);
    if (changes.length > 0) this.#ports.state.apply(changes);
    if (wasVisible) this.#announceEnd(plugin, `it is the same program as ${into.runtimeId}`);
  }

  /** Makes `after` visible in the place of `before`, which is gone already, in one revision. */
  succeed(before: LivePlugin, after: LivePlugin, reason: string): void {
    this.#ports.identities.revoke(before.runtimeId);
    const alias = this.aliases.add(before.runtimeId, after.runtimeId, this.#plugins.keys());
    this.commit(after, [...this.#end(before), alias]);
    this.#announceEnd(before, reason);
    this.#ports.emit("plugin-replaced", { before: before.record(), after: after.record() });
  }

  /** Cancels timers and polls of all plugins without telling anybody. */
  close(): void {
    for (const plugin of [...this.#plugins.values()]) this.retire(plugin, "the host stopped");
    this.aliases.close();
  }

  #withdrawal(plugin: LivePlugin, reason: string): { readonly changes: Change[]; readonly announce: () => void } {
    const registrations = [...plugin.registrations.values()];
    plugin.registrations.clear();
    plugin.phase = { kind: "draining", reason };
    return {
      changes: [
        { kind: "plugin-put", plugin: plugin.record() },
        ...registrations.map(({ registrationId }): Change => ({ kind: "registration-removed", registrationId })),
      ],
      announce: () => {
        for (const registration of registrations) this.#ports.emit("unregistered", { registration });
      },
    };
  }

  /** Frees what belongs to the plugin, and returns the changes that take it out of the visible state. */
  #end(plugin: LivePlugin): Change[] {
    const wasVisible = plugin.visibility.kind === "committed";
    plugin.visibility = { kind: "gone" };
    plugin.end();
    plugin.health.close();
    plugin.remote?.close();
    this.#plugins.delete(plugin.runtimeId);
    const key = addressKey(plugin.address);
    if (key !== undefined && this.at(key).length === 0) this.#ports.closeConnections(plugin.address);
    const own: Change[] = wasVisible ? [{ kind: "plugin-removed", runtimeId: plugin.runtimeId }] : [];
    return [...own, ...this.aliases.changesAfterEndOf(plugin.runtimeId)];
  }

  #announceEnd(plugin: LivePlugin, reason: string): void {
    this.reactions.gone(plugin.runtimeId);
    for (const registration of plugin.registrations.values()) this.#ports.emit("unregistered", { registration });
    this.#ports.emit("plugin-removed", { plugin: plugin.record(), reason });
  }

  #healthChanged(plugin: LivePlugin, health: Health, before: Health): void {
    if (plugin.visibility.kind !== "committed") return;
    this.publish(plugin);
    this.#ports.emit("health", { runtimeId: plugin.runtimeId, selfId: plugin.selfId, health, before });
  }

  #declared(plugin: LivePlugin, declaration: PluginDeclaration): void {
    // Somebody else may answer at the address that a plugin gave for its own.
    if (declaration.selfId !== plugin.selfId || plugin.visibility.kind === "gone") return;
    plugin.declare(declaration);
    this.publish(plugin);
  }

  /** A self-registered plugin that took all its services away and does not answer any more has ended. */
  #forgetIfDeserted(plugin: LivePlugin): void {
    const deserted = plugin.origin === "self-registered" && plugin.registrations.size === 0;
    if (deserted && plugin.visibility.kind === "committed" && plugin.phase.kind === "serving") {
      this.retire(plugin, "it unregistered its services and ended");
    }
  }
}
