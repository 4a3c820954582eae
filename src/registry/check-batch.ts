import { invalid, PluginHostError } from "../errors.js";
import type { Change, PluginRecord, Registration, RuntimeId } from "../model/catalog.js";
import { shown } from "../model/limits.js";
import { AliasTable } from "./alias-table.js";

/** The state that a batch is checked against. */
export interface BatchBase {
  plugin(runtimeId: RuntimeId): PluginRecord | undefined;
  registration(registrationId: string): Registration | undefined;
  readonly aliases: AliasTable;
}

/**
 * Plays a batch on top of `base` without changing it. Each change is checked against what the changes in front of
 * it leave behind.
 *
 * @returns the aliases after the batch; `base.aliases` itself if the batch leaves them as they are
 * @throws PluginHostError `PLUGIN_NOT_FOUND`, `REGISTRATION_NOT_FOUND` or `INVALID_ARGUMENT`, naming the change
 */
export function checkBatch(changes: readonly Change[], base: BatchBase): AliasTable {
  const batch = new BatchCheck(base);
  changes.forEach((change, index) => batch.play(change, `changes[${index}]`));
  return batch.finish();
}

class BatchCheck {
  readonly #base: BatchBase;
  /** Plugins that the batch puts (true) or removes (false). */
  readonly #plugins = new Map<RuntimeId, boolean>();
  /** How often the batch removed a plugin: registrations of an earlier life of it are gone. */
  readonly #lives = new Map<RuntimeId, number>();
  /** Registrations that the batch puts, with the plugin's life they belong to, or removes (undefined). */
  readonly #registrations = new Map<string, { registration: Registration; life: number } | undefined>();
  #aliases: AliasTable;

  constructor(base: BatchBase) {
    this.#base = base;
    this.#aliases = base.aliases;
  }

  play(change: Change, at: string): void {
    switch (change.kind) {
      case "plugin-put":
        this.#plugins.set(change.plugin.runtimeId, true);
        return;
      case "plugin-removed":
        this.#requirePlugin(change.runtimeId, `${at}.runtimeId`);
        this.#plugins.set(change.runtimeId, false);
        this.#lives.set(change.runtimeId, this.#lifeOf(change.runtimeId) + 1);
        return;
      case "registration-put":
        this.#putRegistration(change.registration, `${at}.registration`);
        return;
      case "registration-removed":
        this.#removeRegistration(change.registrationId, `${at}.registrationId`);
        return;
      case "alias-put":
        this.#putAlias(change.from, change.to, at);
        return;
      case "alias-removed":
        if (this.#aliases.entries.has(change.from)) this.#ownAliases().remove(change.from);
        return;
    }
  }

  finish(): AliasTable {
    // Only now: a batch may remove a plugin first and say later in it who takes over its callers.
    for (const [runtimeId, present] of this.#plugins) {
      if (!present && this.#aliases.leadsTo(runtimeId)) this.#ownAliases().removeTarget(runtimeId);
    }
    return this.#aliases;
  }

  #putRegistration(registration: Registration, at: string): void {
    const { registrationId, runtimeId, type } = registration;
    this.#requirePlugin(runtimeId, `${at}.runtimeId`);
    const known = this.#registration(registrationId);
    if (known !== undefined && (known.runtimeId !== runtimeId || known.type !== type)) {
      const owner = `${known.type} of ${known.runtimeId}`;
      throw invalid(`${at}.registrationId`, `${shown(registrationId)} stands for ${owner} already; use another id`);
    }
    this.#registrations.set(registrationId, { registration, life: this.#lifeOf(runtimeId) });
  }

  #removeRegistration(registrationId: string, at: string): void {
    if (this.#registration(registrationId) === undefined) {
      throw new PluginHostError("REGISTRATION_NOT_FOUND", `${at} ${shown(registrationId)} is not registered`, {
        field: at,
      });
    }
    this.#registrations.set(registrationId, undefined);
  }

  #putAlias(from: RuntimeId, to: RuntimeId, at: string): void {
    const target = this.#aliases.resolve(to);
    if (target === from) throw invalid(`${at}.to`, `${shown(to)} leads back to ${shown(from)}`);
    this.#requirePlugin(target, `${at}.to`);
    this.#ownAliases().put(from, target);
  }

  #ownAliases(): AliasTable {
    if (this.#aliases === this.#base.aliases) this.#aliases = new AliasTable(this.#base.aliases);
    return this.#aliases;
  }

  #requirePlugin(runtimeId: RuntimeId, at: string): void {
    if (this.#plugins.get(runtimeId) ?? this.#base.plugin(runtimeId) !== undefined) return;
    throw new PluginHostError("PLUGIN_NOT_FOUND", `${at} ${shown(runtimeId)} is no plugin of this host`, { field: at });
  }

  #registration(registrationId: string): Registration | undefined {
    const own = this.#registrations.has(registrationId);
    const registration = own
      ? this.#registrations.get(registrationId)?.registration
      : this.#base.registration(registrationId);
    const life = this.#registrations.get(registrationId)?.life ?? 0;
    return registration !== undefined && life === this.#lifeOf(registration.runtimeId) ? registration : undefined;
  }

  #lifeOf(runtimeId: RuntimeId): number {
    return this.#lives.get(runtimeId) ?? 0;
  }
}
