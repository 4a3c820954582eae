import { PluginHostError } from "../errors.js";
import { addressKey } from "../model/address.js";
import type { Change, Registration } from "../model/catalog.js";
import type { PluginDeclaration } from "../model/declarations.js";
import type { Health, HealthVerdict } from "../model/health.js";
import type { PermissionPolicy } from "../model/permissions.js";
import { Aliases } from "./aliases.js";
import { KnownPlugins } from "./known-plugins.js";
import { linkedRemote } from "./linked-remote.js";
import { assertServing, LivePlugin, type LivePluginInit } from "./live-plugin.js";
import { PluginMonitor } from "./plugin-monitor.js";
import { findSame, PluginServices } from "./plugin-services.js";
import type { LifecyclePorts } from "./ports.js";
import { Reactions } from "./reactions.js";
import { nothingWithdrawn, withdrawalOf } from "./withdrawal.js";

/** What the directory needs beside the ports. */
export interface PluginDirectoryOptions {
  readonly ports: LifecyclePorts;
  readonly aliasLifeMs: number;
  readonly maxRegistrationsPerPlugin: number;
  /** Whether plugins may register what they did not declare. */
  readonly permissions: PermissionPolicy;
}

/** A new plugin for {@link PluginDirectory.create}. */
export type NewPlugin = Omit<LivePluginInit, "startedAt" | "since">;

/**
 * All started plugins, seen or not yet seen by others, and the only writer of the visible state. Everything here is
 * synchronous, so nothing can come between a check and the change that it allows.
 */
export class PluginDirectory extends KnownPlugins {
  readonly reactions = new Reactions();
  readonly aliases: Aliases;
  readonly services: PluginServices;
  readonly #ports: LifecyclePorts;
  readonly #monitor: PluginMonitor;
  #isAccepting = true;

  constructor(options: PluginDirectoryOptions) {
    super(options.ports.state);
    this.#ports = options.ports;
    this.services = new PluginServices(options.ports, options.maxRegistrationsPerPlugin, options.permissions);
    this.aliases = new Aliases({
      clock: options.ports.clock,
      lifeMs: options.aliasLifeMs,
      apply: (changes) => void this.#ports.state.apply(changes),
    });
    this.#monitor = new PluginMonitor({
      ports: options.ports,
      onDeclared: (plugin, declaration) => this.#declared(plugin, declaration),
      onSilent: (plugin) => this.#forgetIfDeserted(plugin),
    });
  }

  /** From now on no plugin can come, nor register anything. */
  stopAccepting(): void {
    this.#isAccepting = false;
  }

  /** @throws PluginHostError `HOST_STOPPED` */
  assertAccepting(): void {
    if (!this.#isAccepting) throw new PluginHostError("HOST_STOPPED", "the host is stopping");
  }

  /** Adds a plugin that nobody sees before `commit`. @throws PluginHostError `HOST_STOPPED` */
  create(init: NewPlugin): LivePlugin {
    this.assertAccepting();
    const { clock } = this.#ports;
    let plugin: LivePlugin | undefined;
    const health = this.#ports.monitorHealth((now, before) => {
      if (plugin === undefined) return;
      this.#healthChanged(plugin, now, before);
      for (const listener of [...plugin.healthListeners]) listener();
    });
    plugin = new LivePlugin({ ...init, startedAt: clock.now(), since: clock.monotonic() }, health);
    plugin.inFlight.onChange = () => this.#ports.inFlightChanged(init.runtimeId);
    this.plugins.set(plugin.runtimeId, plugin);
    return plugin;
  }

  /**
   * Makes a plugin and all its registrations visible in one revision. An earlier start of the same program, which must
   * be dead since another one has its address, ends in the same revision.
   *
   * @throws PluginHostError `OPERATION_CONFLICT` if it is gone or going
   */
  commit(plugin: LivePlugin): void {
    assertServing(plugin);
    const before = this.earlierStartOf(plugin);
    if (before === undefined) this.#show(plugin, []);
    else this.#succeed(before, plugin, "a new start of it registered at the same address");
  }

  /**
   * Makes `after` visible in the place of `before`, which has ended, in one revision. The id of `before` leads to it.
   *
   * @throws PluginHostError `OPERATION_CONFLICT` if `after` is gone or going
   */
  comeBack(before: LivePlugin, after: LivePlugin): void {
    assertServing(after);
    this.#succeed(before, after, "it was started again");
  }

  /** Writes a changed plugin to the visible state; does nothing while nobody sees it. */
  publish(plugin: LivePlugin): void {
    if (plugin.visibility.kind !== "committed") return;
    this.#ports.state.apply([{ kind: "plugin-put", plugin: plugin.record() }]);
  }

  /** Takes all services of a visible plugin away and stops new calls to it, in one revision. */
  withdraw(plugin: LivePlugin, reason: string): void {
    if (plugin.visibility.kind !== "committed") return;
    const { changes, withdrawn } = withdrawalOf(plugin, reason);
    this.#ports.state.apply(changes);
    for (const registration of withdrawn) this.#ports.emit("unregistered", { registration });
  }

  /**
   * Makes `after` visible in one revision, in which the id of `before` begins to lead to it. Who serves under that id now,
   * `before` or what has taken its place meanwhile, is withdrawn and returned.
   *
   * @throws PluginHostError `OPERATION_CONFLICT` if `after` is gone or going
   */
  switchOver(before: LivePlugin, after: LivePlugin, reason: string): LivePlugin | undefined {
    assertServing(after);
    const serving = this.servingFor(before.runtimeId);
    const ended = serving ?? before;
    const { changes, withdrawn } = serving === undefined ? nothingWithdrawn : withdrawalOf(serving, reason);
    this.#show(after, [...changes, this.aliases.add(ended.runtimeId, after.runtimeId, this.plugins.keys())]);
    for (const registration of withdrawn) this.#ports.emit("unregistered", { registration });
    this.#ports.emit("plugin-replaced", { before: ended.record(), after: after.record() });
    return serving;
  }

  /** Begins to poll the plugin's health at its present address, and asks it once what it requires. */
  monitor(plugin: LivePlugin): void {
    this.#monitor.start(plugin);
  }

  /** The plugin's link has opened, or has ended. Without another address it is reached over that alone. */
  linkChanged(plugin: LivePlugin, isOpen: boolean): void {
    if (plugin.visibility.kind === "gone" || plugin.hasEnded) return;
    const { kind } = plugin.address;
    const before = kind === "external" || kind === "link" ? undefined : plugin.remote;
    if (kind === "external" || kind === "link" || kind === "worker")
      plugin.address = Object.freeze({ kind: "link", isOpen });
    if (isOpen && !plugin.isLinked) plugin.remote = linkedRemote(this.#ports, plugin, before);
    plugin.isLinked ||= isOpen;
    this.publish(plugin);
    if (!isOpen) plugin.health.suspectEnd();
    else if (plugin.visibility.kind === "committed") this.monitor(plugin);
  }

  /** The plugin reports its own health. */
  report(plugin: LivePlugin, verdict: HealthVerdict, reason: string, unavailableDependencies: readonly string[]): void {
    plugin.health.report(verdict, reason, unavailableDependencies);
    this.reactions.reported(plugin.runtimeId);
  }

  /** The plugin discovered, watched or called `type`: a real dependency of a plugin that declared none. */
  observe(plugin: LivePlugin, type: string): void {
    if (plugin.observe(type)) this.publish(plugin);
  }

  /** A plugin has ended by itself: its identity is worth nothing any more, and nothing is left of it but what all see. */
  disable(plugin: LivePlugin): void {
    this.#ports.identities.revoke(plugin.runtimeId);
    plugin.remote?.close();
    // Something else may answer there soon.
    plugin.remote = undefined;
    plugin.launched?.stop(0).catch((error: unknown) => {
      this.#ports.emit("warning", { message: `something is left of ${plugin.runtimeId}, which has ended`, error });
    });
  }

  /** Takes a plugin that offers nothing out of sight. It keeps its identity: what it does next shows it again. */
  hide(plugin: LivePlugin, reason: string): void {
    if (plugin.visibility.kind !== "committed" || plugin.registrations.size > 0) return;
    plugin.visibility = { kind: "joined" };
    this.#ports.state.apply([{ kind: "plugin-removed", runtimeId: plugin.runtimeId }]);
    this.#ports.emit("plugin-removed", { plugin: plugin.record(), reason });
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

  /** `plugin` turned out to be the same program as `into`: its tokens and services are that one's, and nothing else of it is left. */
  absorb(plugin: LivePlugin, into: LivePlugin): void {
    const wasVisible = plugin.visibility.kind === "committed";
    this.#ports.identities.merge(plugin.runtimeId, into.runtimeId);
    // What the program was told last is what it checks.
    into.hostSecret = plugin.hostSecret ?? into.hostSecret;
    const moved = [...plugin.registrations.values()]
      .filter((registration) => findSame(into, registration) === undefined)
      .map((registration): Registration => Object.freeze({ ...registration, runtimeId: into.runtimeId }));
    plugin.registrations.clear();
    this.aliases.passOn(plugin.runtimeId, into.runtimeId);
    const changes = this.#end(plugin);
    for (const registration of moved) into.registrations.set(registration.registrationId, registration);
    if (into.visibility.kind === "committed") {
      changes.push(...moved.map((registration): Change => ({ kind: "registration-put", registration })));
      if (wasVisible) changes.push(this.aliases.add(plugin.runtimeId, into.runtimeId, this.plugins.keys()));
    }
    this.#ports.state.apply(changes);
    if (wasVisible) this.#announceEnd(plugin, `it is the same program as ${into.runtimeId}`);
  }

  /** Ends all plugins, and cancels every timer. */
  close(): void {
    this.stopAccepting();
    for (const plugin of [...this.plugins.values()]) this.retire(plugin, "the host stopped");
    this.aliases.close();
  }

  #show(plugin: LivePlugin, changes: readonly Change[]): void {
    const isNew = plugin.visibility.kind !== "committed";
    plugin.visibility = { kind: "committed" };
    plugin.committedAt ??= this.#ports.clock.monotonic();
    const registrations = [...plugin.registrations.values()];
    this.#ports.state.apply([
      { kind: "plugin-put", plugin: plugin.record() },
      ...registrations.map((registration): Change => ({ kind: "registration-put", registration })),
      ...changes,
    ]);
    if (isNew) this.#ports.emit("plugin-added", { plugin: plugin.record() });
    for (const registration of registrations) {
      if (isNew || this.services.wasStaged(registration)) this.#ports.emit("registered", { registration });
    }
  }

  #succeed(before: LivePlugin, after: LivePlugin, reason: string): void {
    this.#ports.identities.revoke(before.runtimeId);
    const alias = this.aliases.add(before.runtimeId, after.runtimeId, this.plugins.keys());
    this.#show(after, [...this.#end(before), alias]);
    this.#announceEnd(before, reason);
    this.#ports.emit("plugin-replaced", { before: before.record(), after: after.record() });
  }

  /** Frees what belongs to the plugin, and returns the changes that take it out of the visible state. */
  #end(plugin: LivePlugin): Change[] {
    const wasVisible = plugin.visibility.kind === "committed";
    plugin.visibility = { kind: "gone" };
    plugin.end();
    plugin.health.close();
    plugin.remote?.close();
    this.plugins.delete(plugin.runtimeId);
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
    if (plugin.visibility.kind === "gone") return;
    plugin.declare(declaration);
    this.services.retractUndeclared(plugin);
    this.publish(plugin);
  }

  /** A self-registered plugin that took all its services away and does not answer any more has ended. */
  #forgetIfDeserted(plugin: LivePlugin): void {
    // Who has only a link, and never offered anything, may just be dialling again.
    const mayComeBack = plugin.address.kind === "link" && !plugin.hasOffered;
    const deserted = plugin.origin === "self-registered" && plugin.registrations.size === 0 && !mayComeBack;
    if (deserted && plugin.visibility.kind === "committed" && plugin.phase.kind === "serving") {
      this.retire(plugin, "it unregistered its services and ended");
    }
  }
}
