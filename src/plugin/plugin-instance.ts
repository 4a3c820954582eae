import { setMaxListeners } from "node:events";
import { Code, ConnectError } from "@connectrpc/connect";
import { PluginHostError } from "../errors.js";
import type { SetRuntimeIdentityRequest } from "../gen/connectplugin/v1/identity_pb.js";
import type { ExchangeHandler } from "../http/exchange.js";
import { deferred } from "../internal/deferred.js";
import { InFlight } from "../internal/in-flight.js";
import { InProcessCalls } from "../link/in-process-calls.js";
import type { InProcessServices } from "../model/in-process-services.js";
import { DependencyCalls } from "./dependency-calls.js";
import type { DependencyWatch } from "./dependency-watch.js";
import { dependencyWatches } from "./dependency-watches.js";
import { HeldLink } from "./held-link.js";
import { HostAccessCell } from "./host-access.js";
import { parseHostUrl } from "./host-address.js";
import { guardForHost } from "./host-guard.js";
import { HostSession } from "./host-session.js";
import type { InstanceOptions, StopOptions } from "./instance-options.js";
import { interceptedServices } from "./intercepted-service.js";
import { KnownHost } from "./known-host.js";
import { linkServices } from "./link-services.js";
import { linkToHost } from "./link-to-host.js";
import { type LiveDependency, liveDependencies } from "./live-dependency.js";
import { missingImplementation } from "./missing-implementation.js";
import { moduleServices } from "./module-services.js";
import { OwnHealth } from "./own-health.js";
import type { OwnServicesOptions } from "./own-services.js";
import { createPluginContext } from "./plugin-context.js";
import type { PluginEvent, PluginEventListener } from "./plugin-event.js";
import { createPluginHandler } from "./plugin-handler.js";
import type { PluginLink } from "./plugin-link.js";

// Calls are done or cut off by then; answers have to leave.
const linkGraceMs = 500;

// Long enough for a host near by, short enough to be gone before somebody loses patience with a signal.
const farewellMs = 1_000;

/** One running plugin, whatever its connections are made of. */
export class PluginInstance {
  /** Answers everything that comes to the plugin. */
  readonly handler: ExchangeHandler;
  /** Answers calls that come from the same process. */
  readonly services: InProcessServices;
  readonly #options: InstanceOptions;
  readonly #health = new OwnHealth();
  readonly #cell = new HostAccessCell();
  readonly #inFlight = new InFlight();
  readonly #knownHost = new KnownHost();
  readonly #stop = new AbortController();
  readonly #implementations = deferred<Readonly<Record<string, unknown>>>();
  readonly #ready: Promise<void>;
  readonly #waitsForIdentity = deferred();
  readonly #registered = deferred();
  readonly #ended = deferred();
  /** Calls to others without a connection; undefined outside of the host's process. */
  readonly #inProcess: InProcessCalls | undefined;
  readonly #calls: DependencyCalls;
  readonly #watches: ReadonlyMap<string, DependencyWatch>;
  readonly #dependencies: readonly LiveDependency[];
  readonly #stopListeners: (() => void | Promise<void>)[] = [];
  readonly #link: PluginLink | HeldLink | undefined;
  #session: HostSession | undefined;
  #pendingIdentity: SetRuntimeIdentityRequest | undefined;
  #runtimeId: string | undefined;
  #refusing = false;
  #stopping: Promise<void> | undefined;

  constructor(options: InstanceOptions) {
    this.#options = options;
    // One listener for each dependency, and as many as the plugin likes: no sign of a leak.
    setMaxListeners(0, this.#stop.signal);
    const { definition, clock, backOff } = options;
    this.#ready = this.#implementations.promise.then(() => {});
    // All three are for whoever asks; nobody has to.
    this.#ready.catch(() => {});
    this.#ended.promise.catch(() => {});
    this.#registered.promise.catch(() => {});
    const suspect: HostSession["suspect"] = (used) => this.#session?.suspect(used);
    const refused: HostSession["refused"] = (used) => this.#session?.refused(used) ?? false;
    this.#inProcess = options.inProcess && new InProcessCalls(options.inProcess);
    this.#calls = new DependencyCalls({
      cell: this.#cell,
      clock,
      identityWaitMs: definition.identityWaitMs,
      hostCallTimeoutMs: options.times.hostCallTimeoutMs,
      inProcess: this.#inProcess,
      onWait: this.#waitsForIdentity.resolve,
      suspect,
      refused,
    });
    const onEvent: PluginEventListener = (event) => this.#emit(event);
    this.#watches = dependencyWatches(definition, {
      cell: this.#cell,
      clock,
      backOff,
      suspect,
      refused,
      onNews: (type) => this.#calls.forget(type),
      onListenerError: (error) => onEvent({ kind: "error", error }),
      // A host that removes a dependency waits for its dependants to react; those with nothing to do say so by this.
      onLost: () => this.#session?.reportAgain(),
      whenSettled: async () => this.#link?.settled(),
    });
    this.#dependencies = liveDependencies({
      definition,
      calls: this.#calls,
      watches: this.#watches,
      health: this.#health,
      cell: this.#cell,
      clock,
      onEvent,
    });
    const implementations = this.#implementations.promise;
    const answering = { definition, inFlight: this.#inFlight, implementations, refusing: () => this.#refusing };
    this.services = moduleServices(answering);
    const own: OwnServicesOptions = {
      definition,
      health: this.#health,
      signal: this.#stop.signal,
      checksHostSecret: () => this.#knownHost.isKnown,
      onIdentity: (request) => this.#takeIdentity(request),
      onShutdown: (seconds, reason) => {
        void this.stop({ graceMs: seconds * 1_000, reason: reason || "the host asked for it", farewell: false });
      },
    };
    const handler = createPluginHandler({ ...own, ...answering });
    this.#knownHost.learn(options.hostSecret);
    // What comes over the link comes from the host.
    this.handler = guardForHost(handler, {
      knownHost: this.#knownHost,
      directCalls: options.directCalls,
      // If it was the host, which has forgotten the plugin, this finds it out.
      onUnknownHost: () => this.#session?.reportAgain(),
    });
    const onError = (error: unknown): void => onEvent({ kind: "error", error });
    this.#link = linkToHost(options, {
      cell: this.#cell,
      onCall: () => linkServices({ ...own, provided: this.services, implementations, handler, onError }),
      onOpen: () => this.#session?.resume(),
      onRefused: (used) => this.#session?.suspect(used, true),
      onEnd: (reason) => void this.stop({ graceMs: 0, reason: `its link ended: ${reason}`, farewell: false }),
      onEvent,
    });
  }

  /** Assigned by the host; undefined until it has. */
  get runtimeId(): string | undefined {
    return this.#runtimeId;
  }

  /** Resolves when `setup` has finished; rejects with a PluginHostError `PLUGIN_FAILED` if it failed. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /** Resolves when a call to a dependency waits for an identity, so that somebody should give one. */
  get waitsForIdentity(): Promise<void> {
    return this.#waitsForIdentity.promise;
  }

  /** Resolves after the first complete registration; rejects if the host refuses the plugin, or it is stopped first. */
  get registered(): Promise<void> {
    return this.#registered.promise;
  }

  /** Resolves when the plugin has stopped; rejects with what made it stop if it failed. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Runs `setup`. Before the server is open, so that a fast one is done when the first call comes. */
  start(): void {
    const { definition } = this.#options;
    const plugin = createPluginContext({
      dependencies: this.#dependencies,
      health: this.#health,
      signal: this.#stop.signal,
      runtimeId: () => this.#runtimeId,
      onStop: (stop) => this.#stopListeners.push(stop),
    });
    const setup = async (): Promise<unknown> => definition.setup(plugin);
    // A setup that calls dependencies goes on after the host has given an identity; nobody should be sent here before.
    const setUp = this.#health.hold("unhealthy", "its setup is not done", []);
    setup()
      .then((result) => {
        this.#setUp(result);
        setUp();
      })
      .catch((error: unknown) => this.#fail(`setup of ${definition.id} failed`, error));
  }

  /** The server is open at `baseUrl`: begins to talk to the host and to watch dependencies. */
  open(baseUrl: string): void {
    if (this.#stopping !== undefined) return;
    const { definition, host, handshake, times, clock, backOff } = this.#options;
    this.#session = new HostSession({
      ...times,
      definition,
      cell: this.#cell,
      health: this.#health,
      knownHost: this.#knownHost,
      host,
      handshake,
      baseUrl,
      reached: async () => (baseUrl === "" ? this.#link?.required() : this.#link?.settled()),
      ready: this.#ready,
      clock,
      backOff,
      onEvent: (event) => this.#observe(event),
    });
    this.#session.registered.then(this.#registered.resolve, this.#registered.reject);
    void this.#link?.run();
    this.#session.start();
    for (const [type, watch] of this.#watches) {
      watch.onChange((state) => this.#emit({ kind: "dependency", type, ...state }));
      void watch.run(this.#stop.signal);
    }
    if (this.#pendingIdentity !== undefined) this.#takeIdentity(this.#pendingIdentity);
  }

  /** Idempotent: every caller gets the same promise. Never rejects. */
  stop(options: StopOptions): Promise<void> {
    this.#stopping ??= this.#stopOnce(options);
    return this.#stopping;
  }

  async #stopOnce({ graceMs, reason, farewell }: StopOptions): Promise<void> {
    const { clock } = this.#options;
    this.#emit({ kind: "stopping", reason });
    const deadline = deferred();
    const timer = clock.after(graceMs, deadline.resolve);
    this.#stop.abort();
    // Calls that the host still sends while it is told are answered; only then are new ones refused.
    await this.#session?.stop(farewell, Math.min(graceMs, farewellMs));
    // No identity comes any more: who waits for one hears it now. Who has one can still call.
    this.#cell.close();
    this.#refusing = true;
    await Promise.race([this.#inFlight.whenIdle(), deadline.promise]);
    this.#inFlight.abortAll(new PluginHostError("DRAIN_TIMEOUT", `calls were still open after ${graceMs} ms`));
    for (const stop of this.#stopListeners.splice(0).reverse()) {
      const done = (async () => stop())().catch((error: unknown) => this.#emit({ kind: "error", error }));
      await Promise.race([done, deadline.promise]);
    }
    timer.cancel();
    this.#inProcess?.close();
    this.#session?.close();
    await Promise.all([this.#link?.close(linkGraceMs), this.#options.closeServer()]);
    this.#emit({ kind: "stopped" });
    this.#ended.resolve();
    // After `ended`, so that who waits for both sees an orderly end first.
    this.#registered.reject(
      new PluginHostError("OPERATION_ABORTED", "the plugin was stopped before it was registered"),
    );
  }

  #setUp(result: unknown): void {
    const { definition } = this.#options;
    const given = (result ?? {}) as Readonly<Record<string, unknown>>;
    const missing = missingImplementation(definition.provides, given);
    if (missing !== undefined) {
      return this.#fail(`setup of ${definition.id} returned no implementation of ${missing}`, undefined);
    }
    this.#implementations.resolve(interceptedServices(definition.provides, given, definition.serviceInterceptors));
  }

  #fail(message: string, cause: unknown): void {
    const text =
      cause === undefined ? message : `${message}: ${cause instanceof Error ? cause.message : String(cause)}`;
    const error = new PluginHostError("PLUGIN_FAILED", text, { cause });
    this.#health.report("unhealthy", text, []);
    this.#implementations.reject(error);
    this.#ended.reject(error);
    this.#emit({ kind: "error", error });
    void this.stop({ graceMs: 0, reason: text, farewell: false });
  }

  #takeIdentity(request: SetRuntimeIdentityRequest): void {
    if (this.#stopping !== undefined) throw new ConnectError("the plugin is stopping", Code.Unavailable);
    const onlyHost = this.#link instanceof HeldLink ? this.#link.address : this.#options.onlyHost;
    const host =
      onlyHost ??
      (request.hostUrl === "" ? undefined : parseHostUrl("host_url", request.hostUrl, undefined, this.#options.ca));
    if (this.#session === undefined) {
      this.#pendingIdentity = request;
      return;
    }
    const identity = { runtimeId: request.runtimeId, token: request.runtimeToken };
    this.#session.accept({ identity, host, features: new Set(request.hostFeatures) });
  }

  #observe(event: PluginEvent): void {
    if (event.kind === "identified") {
      this.#runtimeId = event.runtimeId;
      if (!event.renewed) this.#calls.forget();
    }
    this.#emit(event);
  }

  #emit(event: PluginEvent): void {
    try {
      this.#options.onEvent(event);
    } catch {
      // A listener for logs must not be able to stop what it logs.
    }
  }
}
