import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Duplex } from "node:stream";
import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { addPlugins } from "./add-plugins.js";
import { type CapabilityOffer, checkOffer } from "./capabilities/capability-offer.js";
import type { OfferedCapability } from "./capability-front.js";
import { PluginHostError } from "./errors.js";
import { Host } from "./host.js";
import { type HostClientOptions, HostClients } from "./host-client.js";
import type { ListenOptions } from "./host-server.js";
import { MountedRequests } from "./http/mounted-exchange.js";
import { resolveServerLimits } from "./http/server-limits.js";
import { connectionInfoOf } from "./http/socket-info.js";
import type { KeyPair } from "./http/tls-material.js";
import type { Unsubscribe } from "./internal/emitter.js";
import type { SweptProgram } from "./launch/launch-state.js";
import type { Impact } from "./lifecycle/ports.js";
import { resolveLimits } from "./limit-options.js";
import type { RuntimeId } from "./model/catalog.js";
import type { PlatformEvents } from "./model/platform-events.js";
import { type PlatformOptions, resolveOptions } from "./options.js";
import { type OperationToPlan, type Plan, planOperation, toPlannedOperation } from "./plan.js";
import { type PluginSpec, type ReplacePluginSpec, toStartSpec } from "./plugin-source.js";
import type { PluginView } from "./plugin-view.js";
import type { ServiceRegistry } from "./registry/service-registry.js";
import type { RemovePluginOptions } from "./remove-plugin-options.js";
import type { UpstreamTlsOptions } from "./router/upstream-tls.js";

/**
 * A plugin host. Opens nothing by itself: `listen` opens a port, `handler` goes into a server that exists, and plugins
 * in the host's own process need neither.
 */
export class Platform {
  readonly #host: Host;
  readonly #mounted: MountedRequests;
  readonly #clients: HostClients;
  #stopping: Promise<void> | undefined;

  /** @throws PluginHostError `INVALID_ARGUMENT` that names the option */
  constructor(options: PlatformOptions = {}) {
    const resolved = resolveOptions(options);
    this.#host = new Host(resolved);
    this.#mounted = new MountedRequests(resolveServerLimits(resolved.server), (exchange) =>
      this.#host.handle(exchange),
    );
    this.#clients = new HostClients({
      registry: this.registry,
      connect: () => this.#host.connect({ kind: "host" }),
      route: (type, idOrAny) => this.#host.ownRoute(type, idOrAny),
      revision: () => this.#host.revision(),
    });
  }

  /** Who provides what, how providers are chosen, and watching it. */
  get registry(): ServiceRegistry {
    return this.#host.registry;
  }

  /** Base URL of the host: the option `publicUrl`, or where it listens; undefined if neither. Never ends with a slash. */
  get url(): string | undefined {
    return this.#host.url();
  }

  /**
   * Listens on one port for HTTP/1.1 and HTTP/2 (cleartext, prior knowledge), or on a Unix socket. With `tls` the port
   * speaks both over TLS, by ALPN. A certificate that does not fit the platform's URL, or its time, comes as a `warning`.
   *
   * @throws PluginHostError `ALREADY_LISTENING`; `HOST_STOPPED`; `LISTEN_REFUSED` for an address beyond loopback without
   * `joinToken` or `allowOpenAdmission`; `INVALID_ARGUMENT` that names a field of `tls`; Node's own error if the port
   * cannot be had
   */
  async listen(target: ListenOptions = { port: 0 }): Promise<void> {
    this.#assertRunning();
    await this.#host.listen(target);
  }

  /**
   * Shows another certificate to callers who connect from now on. Open connections and the calls on them go on.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` that names the part which is wrong; `TLS_OFF` without `tls` in `listen`;
   * `HOST_STOPPED`. The certificate from before stays then
   */
  setCertificate(certificate: KeyPair): void {
    this.#assertRunning();
    this.#host.setCertificate(certificate);
  }

  /**
   * Uses other certificates towards providers over `https:`, for connections from now on: with `runtimeId` towards that
   * plugin, which was added with `tls`, and otherwise towards all that were not. Takes the place of the whole of `tls`.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` that names the part which is wrong; `PLUGIN_NOT_FOUND`; `TLS_OFF` for a plugin
   * that was added without `tls`; `HOST_STOPPED`. What was there before stays then
   */
  setUpstreamTls(tls: UpstreamTlsOptions, runtimeId?: RuntimeId): void {
    this.#assertRunning();
    this.#host.setUpstreamTls(tls, runtimeId);
  }

  /**
   * Opens the admin service on a listener of its own: a Unix socket, which gets mode 0600 and needs no token, or a TCP
   * port, which needs `adminToken` and may have `tls`. Resolves with its URL.
   *
   * @throws PluginHostError `LISTEN_REFUSED`, `HOST_STOPPED`; `INVALID_ARGUMENT` that names a field of `tls`; Node's own
   * error if the port cannot be had
   */
  async listenAdmin(target: ListenOptions): Promise<string> {
    this.#assertRunning();
    return this.#host.adminListeners.listen(target);
  }

  /**
   * Shows another certificate to operators who connect from now on to the ports of `listenAdmin` with `tls`.
   *
   * @throws PluginHostError `INVALID_ARGUMENT`, `TLS_OFF`, `HOST_STOPPED`. The certificate from before stays then
   */
  setAdminCertificate(certificate: KeyPair): void {
    this.#assertRunning();
    this.#host.adminListeners.setCertificate(certificate);
  }

  /**
   * Thinks an operation through without doing anything: its steps, who would break, and why it would fail.
   *
   * @throws PluginHostError `PLUGIN_NOT_FOUND`, `INVALID_ARGUMENT`
   */
  plan(operation: OperationToPlan): Plan {
    return planOperation(toPlannedOperation(operation), {
      dependencies: this.#host.dependencies,
      committed: (runtimeId) => this.#host.directory.committed(runtimeId),
    });
  }

  /**
   * The host as a request handler for a node:http server, Express or Fastify (raw request and response). What the
   * server in front does stays done: its timeouts, its body parsers, its protocols. See the guide on mounting.
   */
  readonly handler = (req: IncomingMessage | Http2ServerRequest, res: ServerResponse | Http2ServerResponse): void => {
    this.#mounted.serve(req, res);
  };

  /**
   * The `upgrade` listener that belongs to `handler`, for WebSocket and the like. Once it was taken, plugins are told that
   * the host takes links.
   */
  get upgradeHandler(): (req: IncomingMessage, socket: Duplex, head: Buffer) => void {
    this.#host.takesUpgrades();
    return this.#handleUpgrade;
  }

  readonly #handleUpgrade = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    this.#mounted.upgrade(req, socket, head, (early, refusal) => {
      void this.#host.front.handleUpgrade(req, socket, early, connectionInfoOf(socket), refusal);
    });
  };

  /**
   * Adds a plugin in seven steps: validate, describe, identify, register, health, graph, announce. Nobody sees it before
   * the last one, and if one fails nothing of it is left.
   *
   * @throws PluginHostError with `step`: `INVALID_ARGUMENT`, `HOST_STOPPED`, `ENDPOINT_IN_USE`, `DEPENDENCY_MISSING`,
   * `DEPENDENCY_CYCLE`, `PLUGIN_UNREACHABLE`, `PLUGIN_PROTOCOL`, `PLUGIN_FAILED`, `DECLARATION_MISMATCH`,
   * `PLUGIN_NOT_HEALTHY`, `HOST_URL_UNKNOWN`, `STEP_TIMEOUT`, `OPERATION_ABORTED`; for a program also `COMMAND_NOT_FOUND`,
   * `COMMAND_NOT_EXECUTABLE`, `COMMAND_WRONG_ARCHITECTURE`, `PLUGIN_EXITED`, `PLUGIN_CRASHED`, `PLUGIN_NOT_LISTENING`, `PORT_IN_USE`, and
   * what the host refused it; for a worker `PLUGIN_FAILED`, `PLUGIN_EXITED`, `PLUGIN_UNRESPONSIVE` and `PLUGIN_OUT_OF_MEMORY`
   */
  async addPlugin(spec: PluginSpec): Promise<PluginView> {
    const start = toStartSpec(spec, this.#host.sources);
    return this.#host.viewOf(await this.#host.lifecycle.add(start, spec.signal));
  }

  /**
   * Adds a set of plugins in the order of their dependencies, at the same time where these allow it. What does not say
   * before it runs what it needs is asked first; who lacks something that such a set may bring is started once more when
   * another of it is there. A failed start of a plugin whose `importance` is `degrade` leaves it
   * supervised: it is listed as one that is down, and tried again. One of an `optional` plugin is a `warning`; it is
   * listed, too, and started when it is released.
   *
   * @returns the plugins in the order of `specs`
   * @throws PluginHostError as `addPlugin`, of the first `required` one that failed; the others of the set are removed again
   */
  addPlugins(specs: readonly PluginSpec[]): Promise<PluginView[]> {
    const reason = "another plugin of its set failed";
    const port = {
      add: (spec: PluginSpec) => this.addPlugin(spec),
      remove: (runtimeId: RuntimeId) => this.removePlugin(runtimeId, { reason, limits: { graceMs: 0 } }),
      describe: (spec: PluginSpec) => this.#host.remotes.describe(toStartSpec(spec, this.#host.sources), spec.signal),
      addAbsent: (spec: PluginSpec, error: unknown) =>
        this.#host.viewOf(this.#host.lifecycle.addAbsent(toStartSpec(spec, this.#host.sources), error)),
      warn: (message: string, error: unknown) => this.#host.events.emit("warning", { message, error }),
    };
    return addPlugins(port, specs);
  }

  /**
   * Removes a plugin in five steps: impact, notify, unregister, shutdown, forget. Dependants that watch what they lose
   * get time to react; calls in flight get their answers. Asking twice at once gives the same promise's result.
   *
   * @returns who was affected
   * @throws PluginHostError `PLUGIN_NOT_FOUND`, `OPERATION_CONFLICT` while it is being replaced, `OPERATION_ABORTED`
   */
  removePlugin(runtimeId: RuntimeId, options: RemovePluginOptions = {}): Promise<Impact> {
    return this.#host.lifecycle.remove(runtimeId, {
      reason: options.reason ?? "removed by the host",
      limits: resolveLimits("limits", options.limits, this.#host.sources.limits),
      signal: options.signal,
    });
  }

  /**
   * Puts a new plugin in the place of a running one in seven steps: start, health, register, switch, drain, shutdown,
   * forget. The switch is one revision. Before it the old one serves as ever; after it its id leads to the new one.
   *
   * @throws PluginHostError as `addPlugin`; `PLUGIN_NOT_FOUND`, `OPERATION_CONFLICT`, `REPLACEMENT_INCOMPATIBLE`
   */
  async replacePlugin(runtimeId: RuntimeId, spec: ReplacePluginSpec): Promise<PluginView> {
    const start = toStartSpec(spec, this.#host.sources, this.#host.lifecycle.termsOf(runtimeId));
    const { allowMissingServices = false } = spec;
    return this.#host.viewOf(
      await this.#host.lifecycle.replace(runtimeId, { ...start, allowMissingServices }, spec.signal),
    );
  }

  /**
   * Starts a plugin at once that is down: it waits to be started again, is quarantined, or is not started again by itself.
   * How often it has ended is forgotten. One that runs is left alone.
   *
   * @returns the plugin as it serves then, with a new runtime id; the old one leads to it
   * @throws PluginHostError `PLUGIN_NOT_FOUND`; `HOST_STOPPED`; `OPERATION_CONFLICT` while it is removed or replaced; as
   * `addPlugin` if it does not start: it is supervised on then, as after any failed start
   */
  async releasePlugin(runtimeId: RuntimeId): Promise<PluginView> {
    return this.#host.viewOf(await this.#host.lifecycle.release(runtimeId));
  }

  /**
   * Offers something of the host's own to plugins, until it is withdrawn. They find it in `host_capabilities` of the
   * handshake and get access by `connectplugin.v1.CapabilityBroker`.
   *
   * @throws PluginHostError `INVALID_ARGUMENT`, `HOST_STOPPED`
   */
  offerCapability(offer: CapabilityOffer): OfferedCapability {
    this.#assertRunning();
    return this.#host.offerCapability(checkOffer("offer", offer));
  }

  /**
   * Stops the programs that an earlier host with the same `stateDir` was to keep (`onHostExit: "keep"`) and that were not taken up
   * by `addPlugin` since. Each gets `limits.shutdownMs` from SIGTERM to SIGKILL. To be called once all of them are added.
   *
   * @returns what was stopped; nothing without `stateDir`
   * @throws PluginHostError `STATE_DIR_IN_USE`, `HOST_STOPPED`
   */
  async sweepKept(): Promise<SweptProgram[]> {
    this.#assertRunning();
    return this.#host.sweepKept();
  }

  /** All visible plugins, in the order in which they came. */
  plugins(): PluginView[] {
    return this.#host.visiblePlugins().map((plugin) => this.#host.viewOf(plugin));
  }

  /** One visible plugin. @throws PluginHostError `PLUGIN_NOT_FOUND` */
  plugin(runtimeId: RuntimeId): PluginView {
    return this.#host.viewOf(this.#host.directory.committed(runtimeId));
  }

  /** Runtime ids in an order in which everything comes after what it requires. @throws PluginHostError `DEPENDENCY_CYCLE` */
  getStartupOrder(): RuntimeId[] {
    return this.#host.graph.startupOrder();
  }

  /** The startup order in groups that can start at the same time. @throws PluginHostError `DEPENDENCY_CYCLE` */
  getStartupLevels(): RuntimeId[][] {
    return this.#host.graph.startupLevels();
  }

  /** Who would break if the plugin went. @throws PluginHostError `PLUGIN_NOT_FOUND` */
  getImpact(runtimeId: RuntimeId): Impact {
    this.#host.directory.committed(runtimeId);
    return this.#host.graph.impact(runtimeId);
  }

  /**
   * A typed client for the host's own code. Every call finds a provider of its own, through the router like any call, and
   * works with no port open.
   */
  client<S extends DescService>(service: S, options: HostClientOptions = {}): Client<S> {
    return this.#clients.client(service, options);
  }

  /** Listens to events of one name. A listener that throws disturbs nobody; it comes back as a `warning`. */
  on<Name extends keyof PlatformEvents>(name: Name, listener: (event: PlatformEvents[Name]) => void): Unsubscribe {
    return this.#host.events.on(name, listener);
  }

  /**
   * Rolls back what is being added or replaced, drains calls, stops plugins (those that others depend on last) and closes
   * the port, within the option `stopBudgetMs`. Endpoints and self-registered plugins are let go, not shut down.
   * Every caller gets the same promise.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#host.stop(() => this.#clients.close());
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #assertRunning(): void {
    if (this.#stopping !== undefined) throw new PluginHostError("HOST_STOPPED", "the host has stopped or is stopping");
  }
}
