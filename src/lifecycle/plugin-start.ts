import { PluginHostError } from "../errors.js";
import { addressKey, type PluginAddress } from "../model/address.js";
import type { RuntimeId } from "../model/catalog.js";
import type { PluginDeclaration, ServiceDeclaration } from "../model/declarations.js";
import type { Health } from "../model/health.js";
import type { LaunchedPlugin } from "../model/launch.js";
import { checkDependencies } from "./check-dependencies.js";
import { claimPlugin } from "./claim-plugin.js";
import { checkDeclaration, reconcile } from "./declaration-check.js";
import { describeWithoutIdentity } from "./describe-without-identity.js";
import { dialAgain } from "./dial-again.js";
import { assertServing, type LivePlugin } from "./live-plugin.js";
import type { Operation } from "./operation.js";
import type { PluginRemote } from "./plugin-remote.js";
import { findSame } from "./plugin-services.js";
import { ProgramStart } from "./program-start.js";
import type { OpenStart } from "./self-registration.js";
import { type StartContext, type StartSpec, startSpecOf } from "./start-spec.js";
import { untilHealthy } from "./until-healthy.js";

/**
 * The way of one plugin from its source to a staged plugin that is healthy. Adding and replacing run the same parts
 * under their own step names; every part leaves its way back with the operation.
 *
 * What the plugin writes and that it ends is heard here, so a start may live as long as its plugin. It must not hold the
 * plugin that it replaces: each would keep the one before it in memory.
 */
export class PluginStart {
  readonly #context: StartContext;
  readonly #operation: Operation;
  readonly #spec: StartSpec;
  readonly #replaces: RuntimeId | undefined;
  readonly #open: OpenStart;
  readonly #close: () => void;
  /** Aborted with the reason when the launched plugin has ended. */
  readonly #ended = new AbortController();
  readonly #program: ProgramStart;
  #launched: LaunchedPlugin | undefined;
  #remote: PluginRemote | undefined;
  #declaration: PluginDeclaration | undefined;
  #hasIdentityService = false;
  readonly #held: ServiceDeclaration[] = [];

  /** @param replaces the plugin whose place the new one takes */
  constructor(context: StartContext, operation: Operation, spec: StartSpec, replaces?: RuntimeId) {
    this.#context = context;
    this.#operation = operation;
    this.#spec = startSpecOf(spec);
    this.#replaces = replaces;
    const { address } = spec.launcher;
    this.#open = {
      addressKey: address === undefined ? undefined : addressKey(address),
      selfId: spec.declares?.selfId,
      program: undefined,
      refusal: undefined,
      plugin: undefined,
      claim: (plugin, at) => this.#claim(plugin, at),
      registered: () => this.#program.registered(),
      linked: () => this.#program.linked(),
    };
    const { ports, directory } = context;
    const registerMs = spec.limits.connectGraceMs;
    this.#program = new ProgramStart(this.#open, { ports, directory, operation, registerMs });
    this.#close = context.selfRegistration.open(this.#open);
  }

  /** The operation is over, whether it succeeded or not: what the program does now it does by itself. Idempotent. */
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
    const launched = await this.#spec.launcher.launch({
      signal,
      onStart: (program) => this.#program.started(program),
      untilLinked: (launchId) => this.#program.untilLinked(launchId),
      onOutput: (line) => this.#program.wrote(line),
    });
    this.#launched = launched;
    if (launched.address.kind === "link") this.#program.reachedOverLink(this.#isLinkOpen);
    this.#operation.onRollback(() => launched.stop(0));
    void launched.ended.then(({ reason, error }) => {
      const failed = new PluginHostError("PLUGIN_FAILED", `the plugin ended: ${reason}`, { cause: error });
      this.#ended.abort(error instanceof PluginHostError ? error : failed);
      const { plugin } = this.#open;
      // One that is being removed ends because it was told to; of one that is supervised more is to be told.
      if (plugin?.phase.kind === "draining" || plugin?.supervision.kind !== "unsupervised") return;
      plugin.health.exited(reason);
    });
    signal.throwIfAborted();
  }

  /** Asks the plugin what it is and compares that with what was declared for it. */
  async describe(signal: AbortSignal): Promise<void> {
    if (this.#launched === undefined) throw new Error("describe comes after launch");
    const { address, hostSecret } = this.#launched;
    const secret = (): string | undefined => this.#open.plugin?.hostSecret ?? hostSecret;
    const remote = address.kind === "link" ? this.#remoteOverLink() : this.#context.ports.openRemote(address, secret);
    this.#remote = remote;
    this.#operation.onRollback(() => remote.close());
    const { clock } = this.#context.ports;
    const { connectGraceMs } = this.#spec.limits;
    const actual = await this.#whileItRuns(signal, async (alive) => {
      const info = await dialAgain(clock, connectGraceMs, alive, () => remote.getPluginInfo(alive));
      // Who answers every path with some JSON does not answer this one: a plugin has a self id.
      const isAnswer = info !== "unimplemented" && info.selfId !== "";
      this.#hasIdentityService = isAnswer;
      if (isAnswer) return info;
      return describeWithoutIdentity(remote, this.#spec.declares, () => this.#program.describe(alive), alive);
    });
    this.#declaration = reconcile(this.#spec.declares, checkDeclaration("the plugin's info", actual));
    this.#open.selfId = this.#declaration.selfId;
    const { plugin } = this.#open;
    if (plugin === undefined || plugin.selfId === this.#declaration.selfId) return;
    throw new PluginHostError(
      "DECLARATION_MISMATCH",
      `the plugin calls itself ${this.#declaration.selfId}, and ${plugin.selfId} in its handshake; correct one of the two`,
    );
  }

  /** A failure with what is known of the program that was launched: its last lines, and what the host refused it. */
  explain(error: unknown): unknown {
    return this.#program.explain(error);
  }

  /** @throws PluginHostError `DEPENDENCY_MISSING`, `DEPENDENCY_CYCLE`; `PLUGIN_FAILED` if the plugin has ended */
  checkDependencies(): void {
    this.#ended.signal.throwIfAborted();
    const { declaration } = this;
    if (declaration === undefined) return;
    // What it replaces goes, so that one is no help to it, and its place in the graph is the new one's.
    const own = this.#replaces ?? this.#open.plugin?.runtimeId;
    checkDependencies(this.#context.ports.dependencies, declaration, own);
  }

  /** Gives the plugin its one identity, or finds out which one it has. */
  async identify(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const declaration = this.#described();
    const known = this.#open.plugin ?? this.#registeredByItself(declaration.selfId);
    if (known === undefined) await this.#issue(declaration, signal);
    else this.#adopt(known);
    this.plugin.declare(declaration);
    this.#context.directory.services.retractUndeclared(this.plugin);
    this.#operation.runtimeId = this.plugin.runtimeId;
    this.#ended.signal.throwIfAborted();
  }

  /** Stages every declared service that the plugin has not registered by itself. */
  register(): void {
    const { directory } = this.#context;
    const { plugin } = this;
    for (const service of this.#described().provides) {
      if (findSame(plugin, service) !== undefined) continue;
      // Everybody sees a plugin that came by itself, so what the host adds to it has to wait for the commit.
      if (plugin.visibility.kind === "committed") {
        this.#held.push(service);
        continue;
      }
      const { registrationId } = directory.services.put(plugin, { ...service, metadata: {} });
      this.#operation.onRollback(() => directory.services.remove(plugin, registrationId));
    }
  }

  /** Everything that the plugin offers once it is committed. */
  get offers(): readonly { readonly type: string; readonly version: string }[] {
    return [...this.plugin.registrations.values(), ...this.#held];
  }

  /** Gives the plugin the services that had to wait. The commit comes in the same tick and shows them with all the rest. */
  release(): void {
    const { plugin } = this;
    assertServing(plugin);
    for (const service of this.#held) {
      if (findSame(plugin, service) !== undefined) continue;
      const { registrationId } = this.#context.directory.services.stage(plugin, { ...service, metadata: {} });
      this.#operation.onRollback(() => void plugin.registrations.delete(registrationId));
    }
  }

  /**
   * Polls the plugin and waits until its health is acceptable.
   *
   * @throws PluginHostError `PLUGIN_NOT_HEALTHY` with the last state and reason, `PLUGIN_FAILED` if it ends meanwhile,
   * `OPERATION_CONFLICT` if somebody removes it meanwhile
   */
  async becomeHealthy(signal: AbortSignal, acceptable: (health: Health) => boolean): Promise<void> {
    const { directory, ports } = this.#context;
    directory.monitor(this.plugin);
    const { healthMs } = this.#spec.limits;
    await untilHealthy(this.plugin, { clock: ports.clock, healthMs, acceptable, ends: [signal, this.#ended.signal] });
  }

  get #isLinkOpen(): boolean {
    const { plugin } = this.#open;
    return plugin !== undefined && this.#context.ports.remoteOverLink(plugin.runtimeId) !== undefined;
  }

  /** What asks a program that has dialled a link, also when it has to dial again. */
  #remoteOverLink(): PluginRemote {
    const { plugin } = this.#open;
    if (plugin?.remote === undefined) throw new PluginHostError("PLUGIN_FAILED", "the plugin's identity ended");
    return plugin.remote;
  }

  #described(): PluginDeclaration {
    if (this.#declaration === undefined) throw new Error("the plugin was not described yet");
    return this.#declaration;
  }

  #registeredByItself(selfId: string): LivePlugin | undefined {
    const there = this.#context.directory.at(this.#open.addressKey ?? "");
    return there.find((known) => known.selfId === selfId && known.visibility.kind === "committed");
  }

  async #issue(declaration: PluginDeclaration, signal: AbortSignal): Promise<void> {
    const { ports, directory } = this.#context;
    const { selfId, selfVersion } = declaration;
    const remote = this.#remote as PluginRemote;
    const launched = this.#launched as LaunchedPlugin;
    const { origin, address } = launched;
    const { runtimeId, token } = ports.identities.issue(selfId, selfVersion);
    this.#operation.onRollback(() => ports.identities.revoke(runtimeId));
    const plugin = directory.create({
      runtimeId,
      selfId,
      selfVersion,
      origin,
      address,
      visibility: { kind: "staged" },
    });
    plugin.remote = remote;
    plugin.launched = launched;
    // It may call as soon as it has its identity.
    plugin.permit(declaration);
    this.#open.plugin = plugin;
    this.#operation.onRollback(() => directory.retire(plugin, `${this.#operation.kind} failed`));
    launched.belongsTo?.(plugin);
    if (!this.#hasIdentityService) return;
    const hostUrl = ports.hostUrlFor(address);
    const answer = await this.#whileItRuns(signal, (alive) =>
      remote.setRuntimeIdentity({ runtimeId, token, hostUrl }, alive),
    );
    if (answer === "refused") throw new PluginHostError("PLUGIN_FAILED", "the plugin refused its runtime identity");
    if (answer === "guarded") plugin.hostSecret = launched.hostSecret;
  }

  /** The program has come by itself: it keeps the identity it has, and is managed from now on. */
  #adopt(plugin: LivePlugin): void {
    assertServing(plugin);
    if (this.#open.plugin === undefined) this.#claim(plugin, plugin.address);
    plugin.origin = (this.#launched as LaunchedPlugin).origin;
    plugin.launched = this.#launched;
    plugin.remote ??= this.#remote;
  }

  #claim(plugin: LivePlugin, address: PluginAddress): void {
    this.#open.plugin = plugin;
    const { directory } = this.#context;
    const start = { spec: this.#spec, operation: this.#operation, directory, remote: () => this.#remote };
    claimPlugin(start, plugin, address, this.#open.program !== undefined);
  }

  /** Gives up as soon as the plugin has ended. */
  async #whileItRuns<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ended = this.#ended.signal;
    try {
      return await work(AbortSignal.any([signal, ended]));
    } catch (error) {
      if (ended.aborted && !signal.aborted) throw ended.reason;
      throw error;
    }
  }
}
