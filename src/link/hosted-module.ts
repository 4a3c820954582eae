import type { Duplex } from "node:stream";
import type { MessagePort } from "node:worker_threads";
import type { ServiceDeclaration, ServiceDependency } from "../model/declarations.js";
import type { InProcessServices } from "../model/in-process-services.js";
import type { InProcessHost } from "./in-process-route.js";

/** What the host gives to a plugin that runs in its process. */
export interface ModuleEnvironment {
  /** Base URL of the host; only good together with `connectHost` if the host listens on no port. */
  readonly hostUrl: string;
  /** Opens a connection in memory to the host's own server, which speaks HTTP/1.1 on it. */
  readonly connectHost: () => Duplex;
  /** Calls to other plugins in the process without a connection. @default all calls go over `connectHost` */
  readonly inProcess?: InProcessHost;
  /** Aborted when the host gives up on the start. */
  readonly signal: AbortSignal;
}

/** A plugin that runs in the host's process. */
export interface RunningModule {
  /** Opens a connection in memory to the plugin's own server, which speaks HTTP/1.1 on it. */
  connect(): Duplex;
  /**
   * What calls from the host's process reach without a connection. Must do what the plugin's server does.
   * @default nothing: all calls come over `connect`
   */
  readonly services?: InProcessServices | undefined;
  /** Settles when the plugin has ended by itself: resolves when it was asked to shut down, rejects when it failed. */
  readonly ended: Promise<void>;
  /** Stops within `graceMs`; then cuts off what is still going on. Idempotent. */
  stop(graceMs: number): Promise<void>;
}

/**
 * A plugin that can run in the host's process. `definePlugin` of `connect-plugin-host/plugin` makes one; it may also be
 * written by hand. The running module answers `connectplugin.v1.PluginIdentity` and `PluginControl` on its server.
 */
export interface HostedModule {
  /** Self id. */
  readonly id: string;
  /** Semantic version. */
  readonly version: string;
  readonly declares: {
    readonly provides: readonly ServiceDeclaration[];
    readonly requires: readonly ServiceDependency[];
  };
  /** Starts one instance. Several may run at once. Rejects if the plugin's own code fails. */
  start(environment: ModuleEnvironment): Promise<RunningModule>;
}

/** What a plugin gets that runs in another thread than its host. */
export interface WorkerEnvironment {
  /** Carries the link to the host (docs/reference/link.md): one message of bytes after the other, in both directions. */
  readonly port: MessagePort;
}

/** A plugin that runs in another thread than its host. */
export interface RunningInWorker {
  /** Settles when the plugin has ended by itself: resolves when it was asked to shut down, rejects when it failed. */
  readonly ended: Promise<void>;
  /** Stops within `graceMs`; then cuts off what is still going on. Idempotent. */
  stop(graceMs: number): Promise<void>;
}

/** A plugin that can run in a worker thread. What `definePlugin` of `connect-plugin-host/plugin` returns is one. */
export interface WorkerModule {
  /** Starts one instance, which is reached over the link alone. Rejects if the plugin's own code fails. */
  startInWorker(environment: WorkerEnvironment): Promise<RunningInWorker>;
}
