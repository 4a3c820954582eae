import { invalid, PluginHostError } from "../errors.js";
import { addressKey, type PluginAddress } from "../model/address.js";
import { parseBaseUrl } from "../model/base-url.js";
import type { Registration, RuntimeId } from "../model/catalog.js";
import type { PluginDeclaration } from "../model/declarations.js";
import type { StartedProgram } from "../model/launch.js";
import { checkEndpointPath, checkMetadata, checkName } from "../model/limits.js";
import { type PermissionPolicy, registrationRefusal } from "../model/permissions.js";
import { checkVersion } from "../model/versions.js";
import { checkDeclaration } from "./declaration-check.js";
import type { LivePlugin } from "./live-plugin.js";
import type { PluginDirectory } from "./plugin-directory.js";
import type { ServiceRegistrationInput } from "./plugin-services.js";
import type { LifecyclePorts } from "./ports.js";

/** An operation that is adding or replacing, as far as a plugin that calls by itself meanwhile must know. */
export interface OpenStart {
  addressKey: string | undefined;
  /** The program that the operation launched; what comes with its launch in front of the path comes from there. */
  program: StartedProgram | undefined;
  /** Why the host refused what the launched program asked of it, if it did. */
  refusal: PluginHostError | undefined;
  /** Known once the plugin was described. */
  selfId: string | undefined;
  /** The plugin that the operation gave an identity to, or adopted. */
  plugin: LivePlugin | undefined;
  /** A plugin that came by itself turned out to be the operation's program, while that had none yet. */
  claim(plugin: LivePlugin, address: PluginAddress): void;
  /** The operation's plugin has registered a service by itself. */
  registered(): void;
  /** The link of the operation's plugin is open. */
  linked(): void;
}

/** Settings of {@link SelfRegistration}. */
export interface SelfRegistrationOptions {
  readonly ports: LifecyclePorts;
  readonly directory: PluginDirectory;
  /** Whether plugins may register what they did not declare. */
  readonly permissions: PermissionPolicy;
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
  /** Acted already, but may be the program of an open start. */
  readonly #heldBack = new Set<LivePlugin>();

  constructor(options: SelfRegistrationOptions) {
    this.#options = options;
  }

  /** From now on what the program at this address does belongs to the operation. Returns the function that ends that. */
  open(start: OpenStart): () => void {
    this.#openStarts.add(start);
    return () => {
      if (!this.#openStarts.delete(start)) return;
      const waiting = [...this.#heldBack];
      this.#heldBack.clear();
      for (const plugin of waiting) this.seen(plugin);
    };
  }

  /**
   * A plugin shakes hands: a new identity, or another token for the one that its operation gave it already. From then on
   * the plugin is held to what it `declares` of itself.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` with the field, `LIMIT_REACHED`, `HOST_STOPPED`; `NOT_ALLOWED` for a
   * launched program that calls itself by another name than before
   */
  join(
    selfId: string,
    selfVersion: string,
    baseUrl: string,
    peerAddress: string,
    launchId?: string,
    declares?: PluginDeclaration,
  ): { readonly runtimeId: RuntimeId; readonly token: string } {
    const { directory, ports, baseUrlRefusal } = this.#options;
    directory.assertAccepting();
    // Spaces become dashes in the runtime id (wire contract, Identity).
    checkName("self_id", selfId.replaceAll(" ", "-"));
    if (selfVersion !== "") checkVersion("self_version", selfVersion);
    const declaration = declares === undefined ? undefined : checkDeclaration("declaration", declares);
    const ofLaunch = launchId === undefined ? undefined : this.#ofLaunch(launchId, selfId);
    const program = ofLaunch?.start?.program;
    const address = program?.address ?? (baseUrl === "" ? undefined : parseBaseUrl("base_url", baseUrl));
    // What it says of its address counts only if it may say so; registering there will tell it why not.
    const isCredible = address !== undefined && baseUrlRefusal(address, peerAddress) === undefined;
    const start = ofLaunch?.start ?? (isCredible ? this.#startOf(addressKey(address), selfId) : undefined);
    const known = ofLaunch?.plugin ?? start?.plugin;
    if (known !== undefined) {
      const token = ports.identities.rotate(known.runtimeId);
      if (token !== undefined) return { runtimeId: known.runtimeId, token };
    }
    if (ofLaunch !== undefined && (start === undefined || known !== undefined)) {
      throw new PluginHostError("UNAUTHENTICATED", "this launch is over, and its program has no identity any more");
    }
    const issued = ports.identities.issue(selfId, selfVersion);
    const plugin = directory.create({
      runtimeId: issued.runtimeId,
      selfId,
      selfVersion,
      origin: "self-registered",
      address: { kind: "external" },
      visibility: { kind: "joined" },
    });
    if (declaration !== undefined) plugin.permit(declaration);
    if (start !== undefined && start.plugin === undefined && address !== undefined) start.claim(plugin, address);
    return issued;
  }

  /** A plugin that nobody sees yet acts for the first time: it becomes visible, unless an operation may still claim it. */
  seen(plugin: LivePlugin): void {
    if (plugin.visibility.kind !== "joined") return;
    for (const start of this.#openStarts) {
      if (start.addressKey === undefined) continue;
      // It may be the program that is being added; its registration will tell.
      if (start.selfId === undefined || start.selfId === plugin.selfId) return void this.#heldBack.add(plugin);
    }
    this.#options.directory.monitor(plugin);
    this.#options.directory.commit(plugin);
  }

  /**
   * A plugin registers one of its services.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` with the field, `NOT_ALLOWED`, `NOT_DECLARED`, `LIMIT_REACHED`
   */
  register(runtimeId: RuntimeId, given: ServiceRegistrationInput, peerAddress: string): Registration {
    const { directory } = this.#options;
    directory.assertAccepting();
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
    this.#assertDeclared(caller, input.type);
    const address = this.#addressOf(input, peerAddress);
    const plugin = address === undefined ? caller : this.#place(caller, address);
    if (plugin !== caller) this.#assertDeclared(plugin, input.type);
    const registration = directory.services.put(plugin, input);
    for (const start of this.#openStarts) if (start.plugin === plugin) start.registered();
    if (plugin.visibility.kind === "joined") {
      directory.monitor(plugin);
      directory.commit(plugin);
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
    if (plugin?.registrations.has(registrationId)) {
      directory.services.remove(plugin, registrationId);
      // Most plugins do that just before they end, and should not be listed for long after it.
      if (plugin.registrations.size === 0) plugin.health.suspectEnd();
      return;
    }
    for (const other of directory.all()) {
      if (other.visibility.kind === "committed" && other.registrations.has(registrationId)) {
        throw new PluginHostError("NOT_ALLOWED", `registration ${registrationId} belongs to another plugin`);
      }
    }
    throw new PluginHostError("REGISTRATION_NOT_FOUND", `no registration has the id ${JSON.stringify(registrationId)}`);
  }

  /** A plugin's link is open. */
  linked(plugin: LivePlugin): void {
    for (const start of this.#openStarts) if (start.plugin === plugin) start.linked();
  }

  /** The host refused a call of a launched program, which may well be why it does not become ready. */
  refused(launchId: string, refusal: PluginHostError): void {
    for (const start of this.#openStarts) if (start.program?.launchId === launchId) start.refusal = refusal;
  }

  /** @throws PluginHostError `NOT_DECLARED` */
  #assertDeclared(plugin: LivePlugin, type: string): void {
    const message = registrationRefusal(this.#options.permissions, plugin.runtimeId, plugin.permissions, type);
    if (message === undefined) return;
    const refusal = new PluginHostError("NOT_DECLARED", message);
    for (const start of this.#openStarts) if (start.plugin === plugin) start.refusal = refusal;
    throw refusal;
  }

  /** What is known of a launch: the operation that it belongs to while that goes on, and its plugin. */
  #ofLaunch(launchId: string, selfId: string): { start: OpenStart | undefined; plugin: LivePlugin | undefined } {
    const start = [...this.#openStarts].find(({ program }) => program?.launchId === launchId);
    const running = [...this.#options.directory.all()].find(({ launched }) => launched?.launchId === launchId);
    const plugin = start?.plugin ?? running;
    if (plugin !== undefined && plugin.selfId !== selfId) {
      throw new PluginHostError(
        "NOT_ALLOWED",
        `this launch is ${plugin.runtimeId}, not ${selfId}; a launched program is one plugin, add the other by itself`,
      );
    }
    return { start, plugin };
  }

  #startOf(key: string | undefined, selfId: string): OpenStart | undefined {
    for (const start of this.#openStarts) {
      // One whose plugin has ended will fail; what comes now has no part in that.
      if (start.plugin?.visibility.kind === "gone") continue;
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
  #place(caller: LivePlugin, address: PluginAddress): LivePlugin {
    const { directory } = this.#options;
    // The host knows better where a plugin is that it started or was told of.
    if (caller.origin !== "self-registered") return caller;
    const key = addressKey(address);
    if (key === undefined || caller.addressKey === key) return caller;
    if (caller.address.kind !== "external" && caller.address.kind !== "link") {
      throw invalid(
        "metadata.base_url",
        `is not that of the plugin's other services; all of them listen at one address`,
      );
    }
    const start = this.#startOf(key, caller.selfId);
    const same = start === undefined ? this.#committedWhileItRan(caller, key) : start.plugin;
    if (same !== undefined && same !== caller) {
      same.inherit(caller);
      directory.absorb(caller, same);
      return same;
    }
    if (start !== undefined) {
      if (start.plugin === undefined) start.claim(caller, address);
      return caller;
    }
    caller.address = address;
    if (caller.visibility.kind === "committed") {
      directory.monitor(caller);
      directory.commit(caller);
    }
    return caller;
  }

  /** Who shook hands before another was committed there is the program that was committed, not a later start of it. */
  #committedWhileItRan(caller: LivePlugin, key: string): LivePlugin | undefined {
    return this.#options.directory
      .at(key)
      .find(
        ({ selfId, committedAt, phase }) =>
          selfId === caller.selfId &&
          phase.kind === "serving" &&
          committedAt !== undefined &&
          caller.since <= committedAt,
      );
  }
}
