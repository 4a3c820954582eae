import type { StepLimits } from "./lifecycle/limits.js";

/** How a plugin is removed. */
export interface RemovePluginOptions {
  /** For events, watchers and the plugin itself. @default "removed by the host" */
  readonly reason?: string;
  /** @default the platform's */
  readonly limits?: Partial<Pick<StepLimits, "graceMs" | "drainMs" | "shutdownMs">>;
  /** Calls the removal off while dependants still have time to react; later it has no effect. */
  readonly signal?: AbortSignal;
}
