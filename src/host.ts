import { setMaxListeners } from "node:events";
import type { Duplex } from "node:stream";
import { AdminListeners } from "./admin-listeners.js";
import { createAdminPort } from "./admin-port.js";
import type { CapabilityBroker } from "./capabilities/capability-broker.js";
import type { CheckedOffer } from "./capabilities/capability-offer.js";
import { createBroker, type OfferedCapability, offerCapability, type ServeGranted } from "./capability-front.js";
import { dependencyView } from "./dependency-view.js";
import { DependencyGraph } from "./graph/dependency-graph.js";
import { projectGraph } from "./graph-projection.js";
import type { HostFront } from "./host-front.js";
import type { HostLinks } from "./host-links.js";
import { HostRemotes } from "./host-remotes.js";
import { HostServer, type ListenOptions } from "./host-server.js";
import { HostSweep } from "./host-sweep.js";
import type { ServerExchange } from "./http/exchange.js";
import type { KeyPair } from "./http/tls-material.js";
import { baseUrlRefusal } from "./identity/base-url-policy.js";
import { IdentityStore } from "./identity/identity-store.js";
import type { Clock } from "./internal/clock.js";
import { Emitter } from "./internal/emitter.js";
import { randomHex } from "./internal/ids.js";
import { joinFront } from "./join-front.js";
import { joinLifecycle } from "./join-lifecycle.js";
import { joinLinks } from "./join-links.js";
import { joinRouter } from "./join-router.js";
import { joinSources } from "./join-sources.js";
import { LaunchNonces } from "./launch/launch-nonces.js";
import { LaunchState, type SweptProgram } from "./launch/launch-state.js";
import { Lifecycle } from "./lifecycle/lifecycle.js";
import type { LivePlugin } from "./lifecycle/live-plugin.js";
import { PluginDirectory } from "./lifecycle/plugin-directory.js";
import type { Dependencies } from "./lifecycle/ports.js";
import { SelfRegistration } from "./lifecycle/self-registration.js";
import type { InProcessRoute } from "./link/in-process-route.js";
import type { RuntimeId } from "./model/catalog.js";
import type { PlatformEvents } from "./model/platform-events.js";
import type { Principal } from "./model/principal.js";
import { isDown } from "./model/supervision.js";
import type { ResolvedOptions } from "./options.js";
import type { SourceContext } from "./plugin-source.js";
import { type PluginView, viewOf } from "./plugin-view.js";
import { Catalog } from "./registry/catalog.js";
import { ServiceRegistry } from "./registry/service-registry.js";
import { replaceUpstreamTls } from "./replace-upstream-tls.js";
import type { ServiceRouter } from "./router/router.js";
import type { UpstreamTlsOptions } from "./router/upstream-tls.js";

const ownPrincipal: Principal = Object.freeze({ kind: "host" });

/** All parts of a platform, joined. Each part knows the others only through the small interfaces that are filled in here. */
export class Host {
  readonly events = new Emitter<PlatformEvents>((error, name) => this.#listenerFailed(error, name));
  readonly clock: Clock;
  readonly graph = new DependencyGraph();
  readonly registry: ServiceRegistry;
  readonly directory: PluginDirectory;
  readonly lifecycle: Lifecycle;
  readonly front: HostFront;
  readonly sources: SourceContext;
  readonly dependencies: Dependencies;
  readonly remotes: HostRemotes;
  readonly #options: ResolvedOptions;
  readonly #catalog: Catalog;
  readonly #identities: IdentityStore;
  readonly #selfRegistration: SelfRegistration;
  readonly #router: ServiceRouter;
  readonly #broker: CapabilityBroker<ServeGranted>;
  readonly #server: HostServer;
  readonly #links: HostLinks;
  /** Whether somebody else's server may hand over requests to upgrade. */
  #takesUpgrades = false;
  readonly #inFlightListeners = new Set<(runtimeId: RuntimeId) => void>();
  readonly adminListeners: AdminListeners;
  readonly #stopped = new AbortController();
  readonly #nonces = new LaunchNonces();
  readonly #launchState: LaunchState | undefined;
  readonly #sweep: HostSweep;

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.#launchState = this.#createLaunchState();
    this.#identities = new IdentityStore(options);
    this.#catalog = new Catalog({
      epoch: randomHex(6),
      onListenerError: (error) => this.#warn("a subscriber of the visible state failed", error),
    });
    projectGraph(this.#catalog, this.graph);
    this.#catalog.subscribe(({ revision }) => this.events.emit("changed", { revision }));
    this.registry = new ServiceRegistry(this.#catalog, {
      inFlight: {
        inFlightOf: (runtimeId) => this.directory.get(runtimeId)?.inFlight.count ?? 0,
        onChange: (listener) => {
          this.#inFlightListeners.add(listener);
          return () => this.#inFlightListeners.delete(listener);
        },
      },
      onSelectionError: (error, type) => this.#warn(`the selection function for ${type} failed`, error),
    });
    this.dependencies = dependencyView(this.graph, this.registry);
    this.remotes = new HostRemotes({
      options,
      tls: () => this.#router.tls,
      links: () => this.#links,
      canBeDialled: () => this.#server.isListening || this.#takesUpgrades,
    });
    const ports = joinLifecycle({
      options,
      catalog: this.#catalog,
      identities: this.#identities,
      dependencies: this.dependencies,
      remotes: this.remotes,
      events: this.events,
      inFlightChanged: (runtimeId) => {
        for (const listener of this.#inFlightListeners) listener(runtimeId);
      },
      server: () => this.#server,
      router: () => this.#router,
    });
    const { aliasLifeMs, maxRegistrationsPerPlugin, permissions } = options;
    this.directory = new PluginDirectory({ ports, aliasLifeMs, maxRegistrationsPerPlugin, permissions });
    const { directory } = this;
    this.#selfRegistration = new SelfRegistration({
      ports,
      directory,
      permissions,
      baseUrlRefusal: (address, peer) => baseUrlRefusal(options.baseUrls, address, peer),
    });
    const parties = { ports, directory, selfRegistration: this.#selfRegistration };
    this.lifecycle = new Lifecycle(parties, options.supervision.random);
    const parts = {
      options,
      catalog: this.#catalog,
      registry: this.registry,
      directory,
      lifecycle: this.lifecycle,
      selfRegistration: this.#selfRegistration,
      identities: this.#identities,
      warn: (message: string, error: unknown) => this.#warn(message, error),
    };
    this.#links = joinLinks({ ...parts, router: () => this.#router, handle: (exchange) => this.handle(exchange) });
    this.#router = joinRouter({ ...parts, links: this.#links, events: this.events });
    this.#catalog.subscribe(({ touchedTypes }) => {
      this.#router.providersChanged(touchedTypes);
      this.lifecycle.typesChanged(touchedTypes);
    });
    this.#broker = createBroker(options.grants, this.clock, this.#identities);
    this.events.on("plugin-removed", ({ plugin: { runtimeId } }) => {
      // Who is only out of sight keeps its identity, and its grants.
      if (this.#identities.get(runtimeId) === undefined) this.#broker.ownerEnded(runtimeId);
    });
    this.events.on("supervision", ({ runtimeId, supervision }) => {
      if (isDown(supervision)) this.#broker.ownerEnded(runtimeId);
    });
    for (const offer of options.capabilities) this.offerCapability(offer);
    this.front = joinFront({
      ...parts,
      broker: this.#broker,
      nonces: this.#nonces,
      router: this.#router,
      links: options.link && this.#links,
      server: () => this.#server,
      admin: options.adminToken === undefined ? undefined : createAdminPort(this),
      stopped: this.#stopped.signal,
      features: (inProcess) => this.remotes.features(inProcess),
    });
    this.#server = new HostServer({
      options,
      handler: (exchange) => this.front.handle(exchange),
      onUpgrade: (req, socket, head, connection) => void this.front.handleUpgrade(req, socket, head, connection),
      onError: (error) => this.#warn("a request failed inside the host", error),
    });
    this.sources = joinSources({
      ...parts,
      server: this.#server,
      router: this.#router,
      links: this.#links,
      remotes: this.remotes,
      nonces: this.#nonces,
      launchState: this.#launchState,
    });
    this.adminListeners = new AdminListeners(() => ({
      admin: createAdminPort(this),
      adminToken: options.adminToken,
      identities: this.#identities,
      clock: this.clock,
      onError: (error) => this.#warn("an admin request failed inside the host", error),
    }));
    // One listener for each open health watch.
    setMaxListeners(0, this.#stopped.signal);
    this.#sweep = new HostSweep({ ...parts, clock: this.clock, links: this.#links, broker: this.#broker });
  }

  url(): string | undefined {
    return this.#server.url();
  }

  /** Aborted when the host has stopped all plugins and nothing happens any more. */
  get stopped(): AbortSignal {
    return this.#stopped.signal;
  }

  async listen(target: ListenOptions): Promise<void> {
    // Before the programs of an earlier host can call.
    await this.#launchState?.open();
    this.#doubt(await this.#server.listen(target));
  }

  /** Stops the programs that an earlier host was to keep, and that nobody has taken up. */
  async sweepKept(): Promise<SweptProgram[]> {
    return (await this.#launchState?.sweepKept(this.#options.limits.shutdownMs)) ?? [];
  }

  setCertificate(keyPair: KeyPair): void {
    this.#doubt(this.#server.setCertificate(keyPair));
  }

  /** From now on requests to upgrade may come from somebody else's server. */
  takesUpgrades(): void {
    this.#takesUpgrades = true;
  }

  connect(principal?: Principal): Duplex {
    return this.#server.connect(principal);
  }

  /** Answers one request of a server that somebody else owns. */
  async handle(exchange: ServerExchange): Promise<void> {
    try {
      await this.front.handle(exchange);
    } catch (error) {
      this.#warn("a request failed inside the host", error);
      if (exchange.responded) exchange.abort();
      else exchange.respond(500, [], true);
    }
  }

  /** The way of the host's own code to a service. */
  ownRoute(serviceType: string, idOrAny: string): InProcessRoute {
    return this.#router.inProcess({ caller: () => ownPrincipal, serviceType, idOrAny, pathForm: "full" });
  }

  /** Another text after each change of the visible state. */
  revision(): number {
    return this.#catalog.revision.number;
  }

  offerCapability(offer: CheckedOffer): OfferedCapability {
    return offerCapability(this.#broker, this.#router, offer);
  }

  /** Certificates towards one plugin, or all that were added without some of their own. */
  setUpstreamTls(given: UpstreamTlsOptions, runtimeId: RuntimeId | undefined): void {
    if (runtimeId === undefined) this.#router.tls.replace(given);
    else replaceUpstreamTls(this.directory.committed(runtimeId), given);
    this.#router.renewConnections();
  }

  /** The plugin as the platform shows it, now. */
  viewOf(plugin: LivePlugin): PluginView {
    const { runtimeId } = plugin;
    return viewOf(plugin, this.#router.waitingFor(runtimeId), this.#links?.sessionOf(runtimeId) !== undefined);
  }

  visiblePlugins(): LivePlugin[] {
    return [...this.directory.all()].filter(({ visibility }) => visibility.kind === "committed");
  }

  /** Stops everything. `closeClients` is called when calls have had their time, before connections are closed. */
  async stop(closeClients: () => void): Promise<void> {
    const { stopBudgetMs } = this.#options;
    const endsAt = this.clock.monotonic() + stopBudgetMs;
    this.#server.leave();
    await this.lifecycle.stop(() => this.#stopLevels(), stopBudgetMs);
    this.#stopped.abort();
    closeClients();
    this.#sweep.stop();
    this.registry.close();
    const leftMs = Math.max(0, endsAt - this.clock.monotonic());
    const linksClosed = this.#links.close(leftMs);
    this.directory.close();
    await Promise.all([linksClosed, this.#server.close(leftMs), this.adminListeners.close(leftMs)]);
    this.#router.close();
    this.#launchState?.close();
  }

  #createLaunchState(): LaunchState | undefined {
    const { stateDir: folder } = this.#options;
    if (folder === undefined) return undefined;
    const warn = (message: string, error?: unknown): void => this.#warn(message, error);
    return new LaunchState({ folder, clock: this.clock, nonces: this.#nonces, warn });
  }

  /** Groups of plugins, those that nothing depends on last. */
  #stopLevels(): readonly (readonly RuntimeId[])[] {
    if (this.graph.findCycle() === undefined) return this.graph.startupLevels();
    return this.graph.ids().map((id) => [id]);
  }

  #doubt(message: string | undefined): void {
    if (message !== undefined) this.#warn(message, undefined);
  }

  #warn(message: string, error: unknown): void {
    this.events.emit("warning", { message, error });
  }

  #listenerFailed(error: unknown, name: keyof PlatformEvents): void {
    // A listener of warnings that throws has nobody left to tell.
    if (name !== "warning") this.#warn(`a listener of "${name}" threw`, error);
  }
}
