import { PluginHostError } from "../errors.js";
import { addressKey } from "../model/address.js";
import type { PluginDeclaration } from "../model/declarations.js";
import type { Health } from "../model/health.js";
import type { LaunchedPlugin, PluginLauncher } from "../model/launch.js";
import { checkDeclaration, reconcile } from "./declaration-check.js";
import { dialAgain } from "./dial-again.js";
import type { StepLimits } from "./limits.js";
import type { LivePlugin } from "./live-plugin.js";
import type { Operation } from "./operation.js";
import type { PluginDirectory } from "./plugin-directory.js";
import type { PluginRemote } from "./plugin-remote.js";
import type { LifecyclePorts } from "./ports.js";
import type { OpenStart, SelfRegistration } from "./self-registration.js";

/** What to start. */
export interface StartSpec {
  readonly launcher: PluginLauncher;
  /** What the caller says of the plugin before it runs; already checked. */
  readonly declares: PluginDeclaration | undefined;
  readonly limits: StepLimits;
}

/** The parts of the host that starting a plugin works on. */
export interface StartContext {
  readonly ports: LifecyclePorts;
  readonly directory: PluginDirectory;
  readonly selfRegistration: SelfRegistration;
}

/**
 * The way of one plugin from its source to a staged plugin that is healthy. Adding and replacing run the same parts
 * under their own step names; every part leaves its way back with the operation.
 */
export class PluginStart {
  readonly #context: StartContext;
  readonly #operation: Operation;
  readonly #spec: StartSpec;
  readonly #open: OpenStart;
  readonly #close: () => void;
  #launched: LaunchedPlugin | undefined;
  #remote: PluginRemote | undefined;
  #declaration: PluginDeclaration | undefined;
  #hasIdentityService = false;
  #ended: PluginHostError | undefined;

  constructor(context: StartContext, operation: Operation, spec: StartSpec) {
    this.#context = context;
    this.#operation = operation;
    this.#spec = spec;
    const { address } = spec.launcher;
    this.#open = {
      addressKey: address === undefined ? undefined : addressKey(address),
      selfId: spec.declares?.selfId,
      plugin: undefined,
    };
    this.#close = context.selfRegistration.open(this.#open);
  }

  /** The operation is over, whether it succeeded or not. Idempotent. */
  close(): void {
    this.#close();
  }

  /** What is known of the plugin's declaration so far. */
  get declaration(): PluginDeclaration | undefined {
    return this.#declaration ?? this.#spec.declares;
  }

  get plugin(): LivePlugin {
    if (this.#open.plugin === undefined) throw new Error("the plugin has no identity yet");
    return this.#open.plugin;
  }

  /** Launches the plugin. */
  async launch(signal: AbortSignal): Promise<void> {
    const launched = await this.#spec.launcher.launch({ signal });
    if (signal.aborted) {
      await launched.stop(0);
      throw signal.reason;
    }
    this.#launched = launched;
    this.#operation.onRollback(() => launched.stop(0));
    void launched.ended.then((end) => {
      this.#ended = new PluginHostError("PLUGIN_FAILED", `the plugin ended: ${end.reason}`, { cause: end.error });
      this.#open.plugin?.health.exited(end.reason);
    });
  }

  /** Asks the plugin what it is and compares that with what was declared for it. */
  async describe(signal: AbortSignal): Promise<void> {
    if (this.#launched === undefined) throw new Error("describe comes after launch");
    const remote = this.#context.ports.openRemote(this.#launched.address);
    this.#remote = remote;
    this.#operation.onRollback(() => remote.close());
    const { clock } = this.#context.ports;
    const info = await dialAgain(clock, this.#spec.limits.connectGraceMs, signal, () => remote.getPluginInfo(signal));
    this.#hasIdentityService = info !== "unimplemented";
    const actual = info === "unimplemented" ? await this.#describeWithoutIdentity(remote, signal) : info;
    this.#declaration = reconcile(this.#spec.declares, checkDeclaration("the plugin's info", actual));
    this.#open.selfId = this.#declaration.selfId;
  }

  /** @throws PluginHostError `DEPENDENCY_MISSING`, `DEPENDENCY_CYCLE` */
  checkDependencies(): void {
    const { dependencies } = this.#context.ports;
    const declaration = this.declaration;
    if (declaration === undefined) return;
    for (const dependency of declaration.requires) {
      const problem = dependency.required ? dependencies.problemWith(dependency) : undefined;
      if (problem === undefined) continue;
      throw new PluginHostError(
        "DEPENDENCY_MISSING",
        `${declaration.selfId} requires ${dependency.type}: ${problem}; add a provider first, or make it optional`,
        { details: { type: dependency.type, minVersion: dependency.minVersion } },
      );
    }
    const id = this.#open.plugin?.runtimeId ?? declaration.selfId;
    const cycle = dependencies.cycleWith({
      id,
      name: declaration.selfId,
      provides: declaration.provides,
      requires: declaration.requires,
    });
    if (cycle === undefined) return;
    throw new PluginHostError(
      "DEPENDENCY_CYCLE",
      `plugins wait for each other: ${cycle.join(" -> ")}; mark one of these dependencies optional`,
      { details: { path: cycle } },
    );
  }

  /** Gives the plugin its one identity, or finds out which one it has. */
  async identify(signal: AbortSignal): Promise<void> {
    const { ports, directory } = this.#context;
    const declaration = this.#described();
    const remote = this.#remote as PluginRemote;
    const launched = this.#launched as LaunchedPlugin;
    this.#open.plugin ??= directory
      .at(this.#open.addressKey ?? "")
      .find((known) => known.selfId === declaration.selfId && known.visibility.kind === "committed");
    if (this.#open.plugin !== undefined) {
      this.#adopt(this.#open.plugin);
    } else {
      const { runtimeId, token } = ports.identities.issue(declaration.selfId, declaration.selfVersion);
      const plugin = directory.create({
        runtimeId,
        selfId: declaration.selfId,
        selfVersion: declaration.selfVersion,
        origin: launched.origin,
        address: launched.address,
        visibility: { kind: "staged" },
      });
      plugin.remote = remote;
      plugin.launched = launched;
      this.#open.plugin = plugin;
      this.#operation.onRollback(() => directory.retire(plugin, `${this.#operation.kind} failed`));
      if (this.#hasIdentityService) {
        const hostUrl = ports.hostUrlFor(launched.address);
        const answer = await remote.setRuntimeIdentity({ runtimeId, token, hostUrl }, signal);
        if (answer === "refused") throw new PluginHostError("PLUGIN_FAILED", "the plugin refused its runtime identity");
      }
    }
    this.plugin.declare(declaration);
    this.#operation.runtimeId = this.plugin.runtimeId;
    if (this.#ended !== undefined) throw this.#ended;
  }

  /** Stages every declared service that the plugin has not registered by itself. */
  register(): void {
    const { directory } = this.#context;
    const { plugin } = this;
    for (const service of this.#described().provides) {
      const known = [...plugin.registrations.values()].some(
        ({ type, version, path }) => type === service.type && version === service.version && path === service.path,
      );
      if (known) continue;
      const registration = directory.putRegistration(plugin, { ...service, metadata: {} });
      this.#operation.onRollback(() => directory.removeRegistration(plugin, registration));
    }
  }

  /**
   * Polls the plugin and waits until its health is acceptable.
   *
   * @throws PluginHostError `PLUGIN_NOT_HEALTHY` with the last state and reason, `PLUGIN_FAILED` if it ends meanwhile
   */
  async becomeHealthy(signal: AbortSignal, acceptable: (health: Health) => boolean): Promise<void> {
    const { plugin } = this;
    const { clock } = this.#context.ports;
    const { healthMs } = this.#spec.limits;
    this.#context.directory.monitor(plugin);
    await new Promise<void>((resolve, reject) => {
      const done = (error?: unknown): void => {
        limit.cancel();
        plugin.healthListeners.delete(check);
        signal.removeEventListener("abort", onAbort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const check = (): void => {
        if (this.#ended !== undefined) done(this.#ended);
        else if (acceptable(plugin.health.current)) done();
      };
      const onAbort = (): void => done(signal.reason);
      const onLimit = (): void => {
        const { state, reason } = plugin.health.current;
        const why = reason === "" ? state : `${state}, ${reason}`;
        const message = `${plugin.selfId} did not become healthy within ${healthMs} ms; its last state: ${why}`;
        done(new PluginHostError("PLUGIN_NOT_HEALTHY", message, { details: { state, reason } }));
      };
      const limit = clock.after(healthMs, onLimit, true);
      plugin.healthListeners.add(check);
      signal.addEventListener("abort", onAbort, { once: true });
      check();
    });
  }

  #described(): PluginDeclaration {
    if (this.#declaration === undefined) throw new Error("the plugin was not described yet");
    return this.#declaration;
  }

  /** The program registered by itself: it keeps the identity it has. */
  #adopt(plugin: LivePlugin): void {
    const { directory } = this.#context;
    const { origin, launched, visibility } = plugin;
    plugin.origin = (this.#launched as LaunchedPlugin).origin;
    plugin.launched = this.#launched;
    plugin.remote ??= this.#remote;
    this.#operation.onRollback(() => {
      if (plugin.visibility.kind === "gone") return;
      plugin.origin = origin;
      plugin.launched = launched;
      // It came by itself and stays by itself.
      if (visibility.kind === "committed") directory.publish(plugin);
      else directory.commit(plugin);
    });
  }

  async #describeWithoutIdentity(remote: PluginRemote, signal: AbortSignal): Promise<PluginDeclaration> {
    const { declares } = this.#spec;
    const services = await remote.handshake(signal);
    if (services === "unimplemented") {
      if (declares !== undefined) return declares;
      throw new PluginHostError(
        "PLUGIN_PROTOCOL",
        "the endpoint serves neither PluginIdentity nor a handshake; say what it provides with `declares`",
      );
    }
    const selfId = declares?.selfId ?? services[0]?.type;
    if (selfId === undefined) {
      throw new PluginHostError("PLUGIN_PROTOCOL", "the endpoint's handshake lists no plugins; use `declares`");
    }
    return {
      selfId,
      selfVersion: declares?.selfVersion ?? services[0]?.version ?? "",
      provides: services,
      requires: declares?.requires ?? [],
      metadata: declares?.metadata ?? {},
    };
  }
}
