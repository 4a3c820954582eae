import { invalid, PluginHostError } from "../errors.js";
import { addressKey, type PluginAddress } from "../model/address.js";
import { parseBaseUrl } from "../model/base-url.js";
import type { Registration, RuntimeId } from "../model/catalog.js";
import { checkEndpointPath, checkMetadata, checkName } from "../model/limits.js";
import { checkVersion } from "../model/versions.js";
import type { LivePlugin } from "./live-plugin.js";
import type { PluginDirectory, ServiceRegistrationInput } from "./plugin-directory.js";
import type { LifecyclePorts } from "./ports.js";

/** An operation that is adding or replacing, as far as a plugin that calls by itself meanwhile must know. */
export interface OpenStart {
  readonly addressKey: string | undefined;
  /** Known once the plugin was described. */
  selfId: string | undefined;
  /** The plugin that the operation gave an identity to, or adopted. */
  plugin: LivePlugin | undefined;
}

/** Settings of {@link SelfRegistration}. */
export interface SelfRegistrationOptions {
  readonly ports: LifecyclePorts;
  readonly directory: PluginDirectory;
  /** Undefined if a plugin that calls from `peerAddress` may say that it listens at `address`, otherwise why not. */
  readonly baseUrlRefusal: (address: PluginAddress, peerAddress: string) => string | undefined;
}

/**
 * What plugins do by themselves: shake hands, register, unregister. Keeps the promise that one started program has one
 * identity, in whatever order its handshake, its registration and an operation of the host come.
 */
export class SelfRegistration {
  readonly #options: SelfRegistrationOptions;
  readonly #openStarts = new Set<OpenStart>();

  constructor(options: SelfRegistrationOptions) {
    this.#options = options;
  }

  /** From now on what the program at this address does belongs to the operation. Returns the function that ends that. */
  open(start: OpenStart): () => void {
    this.#openStarts.add(start);
    return () => this.#openStarts.delete(start);
  }

  /** A plugin shakes hands: a new identity, or another token for the one that its operation gave it already. */
  join(
    selfId: string,
    selfVersion: string,
    baseUrl: string,
  ): { readonly runtimeId: RuntimeId; readonly token: string } {
    // Spaces become dashes in the runtime id (wire contract, Identity).
    checkName("self_id", selfId.replaceAll(" ", "-"));
    if (selfVersion !== "") checkVersion("self_version", selfVersion);
    const { identities } = this.#options.ports;
    const key = baseUrl === "" ? undefined : addressKey(parseBaseUrl("base_url", baseUrl));
    const start = this.#startOf(key, selfId);
    if (start?.plugin !== undefined) {
      const token = identities.rotate(start.plugin.runtimeId);
      if (token !== undefined) return { runtimeId: start.plugin.runtimeId, token };
    }
    const issued = identities.issue(selfId, selfVersion);
    this.#options.directory.create({
      runtimeId: issued.runtimeId,
      selfId,
      selfVersion,
      origin: "self-registered",
      address: { kind: "external" },
      visibility: { kind: "joined" },
    });
    return issued;
  }

  /** A plugin that nobody sees yet acts for the first time: it becomes visible, unless an operation may still claim it. */
  seen(plugin: LivePlugin): void {
    if (plugin.visibility.kind !== "joined") return;
    for (const start of this.#openStarts) {
      // It may be the program that is being added; its registration will tell.
      if (start.plugin === undefined || start.selfId === undefined || start.selfId === plugin.selfId) return;
    }
    this.#options.directory.monitor(plugin);
    this.#options.directory.commit(plugin);
  }

  /**
   * A plugin registers one of its services.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` with the field, `NOT_ALLOWED`, `LIMIT_REACHED`
   */
  register(runtimeId: RuntimeId, given: ServiceRegistrationInput, peerAddress: string): Registration {
    const { directory } = this.#options;
    const input: ServiceRegistrationInput = {
      type: checkName("service_type", given.type),
      version: checkVersion("version", given.version),
      path: checkEndpointPath("endpoint_path", given.path),
      metadata: checkMetadata("metadata", given.metadata),
    };
    const caller = directory.get(runtimeId);
    if (caller === undefined) throw new PluginHostError("UNAUTHENTICATED", `${runtimeId} is gone; handshake again`);
    if (caller.phase.kind !== "serving") {
      throw new PluginHostError("NOT_ALLOWED", `${runtimeId} is being removed and cannot register anything`);
    }
    const address = this.#addressOf(input, peerAddress);
    const { plugin, predecessor } = address === undefined ? { plugin: caller } : this.#place(caller, address);
    const registration = directory.putRegistration(plugin, input);
    if (plugin.visibility.kind === "joined") {
      directory.monitor(plugin);
      if (predecessor === undefined) directory.commit(plugin);
      else directory.succeed(predecessor, plugin, "a new start of it registered at the same address");
    }
    return registration;
  }

  /**
   * A plugin takes one of its services away.
   *
   * @throws PluginHostError `REGISTRATION_NOT_FOUND`, or `NOT_ALLOWED` for somebody else's
   */
  unregister(runtimeId: RuntimeId, registrationId: string): void {
    const { directory } = this.#options;
    const plugin = directory.get(runtimeId);
    const own = plugin?.registrations.get(registrationId);
    if (plugin !== undefined && own !== undefined) {
      directory.removeRegistration(plugin, own);
      return;
    }
    for (const other of directory.all()) {
      if (other.visibility.kind === "committed" && other.registrations.has(registrationId)) {
        throw new PluginHostError("NOT_ALLOWED", `registration ${registrationId} belongs to another plugin`);
      }
    }
    throw new PluginHostError("REGISTRATION_NOT_FOUND", `no registration has the id ${JSON.stringify(registrationId)}`);
  }

  #startOf(key: string | undefined, selfId: string): OpenStart | undefined {
    for (const start of this.#openStarts) {
      const sameProgram = start.selfId === undefined || start.selfId === selfId;
      if (key !== undefined && start.addressKey === key && sameProgram) return start;
    }
    return undefined;
  }

  #addressOf(input: ServiceRegistrationInput, peerAddress: string): PluginAddress | undefined {
    const { base_url: baseUrl, protocols } = input.metadata;
    if (baseUrl === undefined || baseUrl === "") return undefined;
    const address = parseBaseUrl("metadata.base_url", baseUrl, protocols);
    const refusal = this.#options.baseUrlRefusal(address, peerAddress);
    if (refusal !== undefined) throw invalid("metadata.base_url", refusal);
    return address;
  }

  /** Finds out which plugin the caller really is, now that it says where it listens. */
  #place(caller: LivePlugin, address: PluginAddress): { plugin: LivePlugin; predecessor?: LivePlugin } {
    const { directory } = this.#options;
    // The host knows better where a plugin is that it started or was told of.
    if (caller.origin !== "self-registered") return { plugin: caller };
    const key = addressKey(address);
    if (caller.addressKey === key) return { plugin: caller };
    if (caller.address.kind !== "external") {
      throw invalid(
        "metadata.base_url",
        `is not that of the plugin's other services; all of them listen at one address`,
      );
    }
    const start = this.#startOf(key, caller.selfId);
    if (start?.plugin !== undefined && start.plugin !== caller) {
      directory.absorb(caller, start.plugin);
      return { plugin: start.plugin };
    }
    const same = directory
      .at(key ?? "")
      .find((other) => other !== caller && other.selfId === caller.selfId && other.committedAt !== undefined);
    // Who shook hands before the other was committed is the program that was committed, not a later start of it.
    if (start === undefined && same?.committedAt !== undefined && caller.since <= same.committedAt) {
      directory.absorb(caller, same);
      return { plugin: same };
    }
    caller.address = address;
    if (start !== undefined) {
      start.plugin = caller;
      if (caller.visibility.kind === "joined") caller.visibility = { kind: "staged" };
    } else if (caller.visibility.kind === "committed") {
      directory.monitor(caller);
      if (same === undefined) directory.publish(caller);
      else directory.succeed(same, caller, "a new start of it registered at the same address");
    }
    return same === undefined ? { plugin: caller } : { plugin: caller, predecessor: same };
  }
}
