import type { CallEvent } from "./call-event.js";
import type { PluginRecord, Registration, Revision, RuntimeId } from "./catalog.js";
import type { Health } from "./health.js";
import type { OutputLine } from "./launch.js";
import type { Supervision } from "./supervision.js";

/** Progress of one step of one operation. */
export interface StepEvent {
  /** The same for all steps of one operation. */
  readonly operationId: string;
  readonly operation: "add" | "remove" | "replace" | "restart";
  readonly step: string;
  readonly state: "started" | "done" | "failed";
  /** The plugin that the operation is about, as soon as it has an id. */
  readonly runtimeId: RuntimeId | undefined;
  /** Of this step; 0 when it starts. */
  readonly durationMs: number;
  readonly error: Error | undefined;
}

/** One line that a launched program wrote, or a module in a worker thread. */
export interface OutputEvent extends OutputLine {
  /** Undefined as long as the program has no identity. */
  readonly runtimeId: RuntimeId | undefined;
  /** Undefined as long as nobody has said it. */
  readonly selfId: string | undefined;
  /** Undefined for worker threads. */
  readonly pid: number | undefined;
}

/** Everything that a platform tells its listeners, by name. */
export interface PlatformEvents {
  /** A plugin became visible. */
  "plugin-added": { readonly plugin: PluginRecord };
  /** A plugin is gone and so is everything that was its own. */
  "plugin-removed": { readonly plugin: PluginRecord; readonly reason: string };
  /** One plugin took the place of another. */
  "plugin-replaced": { readonly before: PluginRecord; readonly after: PluginRecord };
  /** A plugin's effective health changed. */
  health: { readonly runtimeId: RuntimeId; readonly selfId: string; readonly health: Health; readonly before: Health };
  /** The host has noticed a plugin's end, starts it again, gives it up, or has it running again. */
  supervision: {
    readonly runtimeId: RuntimeId;
    readonly selfId: string;
    readonly supervision: Supervision;
    readonly before: Supervision;
  };
  /** A service became visible or changed. */
  registered: { readonly registration: Registration };
  /** A service is not offered any more. */
  unregistered: { readonly registration: Registration };
  /** A step of add, remove, replace or restart began or ended. */
  step: StepEvent;
  /** A call through the router is over. */
  call: CallEvent;
  /** A launched program wrote a line to its standard output or standard error. */
  output: OutputEvent;
  /** The visible state changed; everything of one change has the same revision. */
  changed: { readonly revision: Revision };
  /** Something went wrong that no caller is there to be told: a listener that threw, a plugin that did not shut down. */
  warning: { readonly message: string; readonly error: unknown };
}
