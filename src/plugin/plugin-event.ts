import type { CircuitState } from "./interceptors/circuit.js";
import type { DependencyState } from "./plugin-definition.js";

/** What happens to a running plugin, for logs. No event holds a secret. */
export type PluginEvent =
  /** The plugin's port is open. */
  | { readonly kind: "listening"; readonly url: string }
  /** The host gave the plugin an identity, or renewed the one it has. */
  | { readonly kind: "identified"; readonly runtimeId: string; readonly renewed: boolean }
  /** All services are registered and the health is reported. */
  | { readonly kind: "registered"; readonly runtimeId: string; readonly registrationIds: readonly string[] }
  /** A link to the host stands: calls go over it in both directions. */
  | { readonly kind: "link-open"; readonly runtimeId: string }
  /** The link has ended. Calls go over HTTP until there is another. */
  | { readonly kind: "link-lost"; readonly reason: string }
  /** The host announced links, and none could be opened. */
  | { readonly kind: "link-failed"; readonly error: unknown }
  /** The host cannot be reached, or does not know the plugin any more. */
  | { readonly kind: "host-lost"; readonly reason: string }
  /** Something failed and is tried again after `delayMs`. */
  | { readonly kind: "retrying"; readonly failures: number; readonly delayMs: number; readonly error: unknown }
  /** The state of a dependency changed. */
  | ({ readonly kind: "dependency"; readonly type: string } & DependencyState)
  /** A circuit of a dependency with a circuit breaker changed; `type` is the service type, and the rest as in `CircuitEvent`. */
  | {
      readonly kind: "circuit";
      readonly type: string;
      readonly provider: string;
      readonly state: CircuitState;
      readonly reason: string;
    }
  /** The plugin's own code threw where nobody else can see it. */
  | { readonly kind: "error"; readonly error: unknown }
  | { readonly kind: "stopping"; readonly reason: string }
  | { readonly kind: "stopped" };

/** Takes events. What it throws is ignored. */
export type PluginEventListener = (event: PluginEvent) => void;
