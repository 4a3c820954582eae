import type { MessagePort } from "node:worker_threads";

/** What a worker thread is started with: `workerData`. */
export interface WorkerLaunch {
  /** `file:` URL of the module that holds the plugin. */
  readonly module: string;
  /** Carries the plugin's link. Nobody else has the other end. */
  readonly link: MessagePort;
  /** Carries {@link ToWorker} and {@link FromWorker}. */
  readonly control: MessagePort;
}

/** What the launch tells the thread. */
export type ToWorker =
  | { readonly kind: "ping" }
  /** Finish calls within the time, then end. */
  | { readonly kind: "stop"; readonly graceMs: number };

/** What the thread tells the launch. */
export type FromWorker =
  /** The module is loaded and holds a plugin, which begins to greet on the link. */
  | { readonly kind: "loaded" }
  /** The plugin has set itself up, or waits for its identity in doing so. */
  | { readonly kind: "ready" }
  | { readonly kind: "pong"; readonly externalBytes: number }
  /** The plugin was asked to stop, and has. */
  | { readonly kind: "ended" }
  /** `no-plugin`: the module holds something else. */
  | { readonly kind: "failed"; readonly what: "load" | "no-plugin" | "start"; readonly message: string };
