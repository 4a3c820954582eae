import { PluginHostError } from "../errors.js";
import { randomHex } from "../internal/ids.js";
import type { Registration } from "../model/catalog.js";
import { type PermissionPolicy, registrationRefusal } from "../model/permissions.js";
import type { LivePlugin } from "./live-plugin.js";
import type { LifecyclePorts } from "./ports.js";

/** A service that a plugin registers, already checked. */
export interface ServiceRegistrationInput {
  readonly type: string;
  readonly version: string;
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The services of plugins, one by one. Those of a plugin that nobody sees yet are kept with it until it is shown. */
export class PluginServices {
  readonly #ports: LifecyclePorts;
  readonly #maxPerPlugin: number;
  readonly #permissions: PermissionPolicy;

  readonly #staged = new WeakSet<Registration>();

  constructor(ports: LifecyclePorts, maxPerPlugin: number, permissions: PermissionPolicy) {
    this.#ports = ports;
    this.#permissions = permissions;
    this.#maxPerPlugin = maxPerPlugin;
  }

  /**
   * Adds or updates one service. The same type, version and path is an update and keeps its registration id.
   *
   * @throws PluginHostError `LIMIT_REACHED`
   */
  put(plugin: LivePlugin, input: ServiceRegistrationInput): Registration {
    const registration = this.#create(plugin, input);
    if (plugin.visibility.kind === "committed") {
      this.#ports.state.apply([{ kind: "registration-put", registration }]);
      this.#ports.emit("registered", { registration });
    }
    return registration;
  }

  /** As `put`, but what others see stays as it is until the plugin is committed. @throws PluginHostError `LIMIT_REACHED` */
  stage(plugin: LivePlugin, input: ServiceRegistrationInput): Registration {
    const registration = this.#create(plugin, input);
    this.#staged.add(registration);
    return registration;
  }

  /** Whether the registration waited for its plugin's commit, which has come now. */
  wasStaged(registration: Registration): boolean {
    return this.#staged.delete(registration);
  }

  #create(plugin: LivePlugin, input: ServiceRegistrationInput): Registration {
    const existing = findSame(plugin, input);
    if (existing === undefined && plugin.registrations.size >= this.#maxPerPlugin) {
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
    plugin.hasOffered = true;
    return registration;
  }

  /** Takes those services away that the plugin registered before it was known what it declares, and did not declare. */
  retractUndeclared(plugin: LivePlugin): void {
    const { runtimeId, permissions } = plugin;
    for (const { type, registrationId } of [...plugin.registrations.values()]) {
      const refusal = registrationRefusal(this.#permissions, runtimeId, permissions, type);
      if (refusal === undefined) continue;
      this.remove(plugin, registrationId);
      this.#ports.emit("warning", { message: `${refusal}; its registration was taken back`, error: undefined });
    }
  }

  /** Takes one service of the plugin away. Does nothing if it is not there any more. */
  remove(plugin: LivePlugin, registrationId: string): void {
    const registration = plugin.registrations.get(registrationId);
    if (registration === undefined) return;
    plugin.registrations.delete(registrationId);
    if (plugin.visibility.kind !== "committed") return;
    this.#ports.state.apply([{ kind: "registration-removed", registrationId }]);
    this.#ports.emit("unregistered", { registration });
  }
}

/** The plugin's registration of the same type, version and path. */
export function findSame(
  plugin: LivePlugin,
  { type, version, path }: Pick<ServiceRegistrationInput, "type" | "version" | "path">,
): Registration | undefined {
  for (const known of plugin.registrations.values()) {
    if (known.type === type && known.version === version && known.path === path) return known;
  }
  return undefined;
}
