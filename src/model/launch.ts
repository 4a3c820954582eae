import type { PluginAddress } from "./address.js";
import type { PluginOrigin } from "./catalog.js";
import type { PluginDeclaration } from "./declarations.js";

/** How a launched plugin ended by itself. */
export interface LaunchEnd {
  /** For people: the error's message, the exit code or the signal. */
  readonly reason: string;
  readonly error: unknown;
}

/** A plugin that runs, whoever started it. */
export interface LaunchedPlugin {
  readonly origin: PluginOrigin;
  readonly address: PluginAddress;
  /** Resolves when the plugin has ended by itself. Never settles for an endpoint, which the host cannot see ending. */
  readonly ended: Promise<LaunchEnd>;
  /**
   * Makes sure that nothing of the plugin is left, within `graceMs` and a little. Idempotent. An endpoint that the host
   * did not start is left running.
   */
  stop(graceMs: number): Promise<void>;
}

/** What a launch gets from the host. */
export interface LaunchContext {
  /** Aborted when the host gives up; what was started until then must be gone when the launch rejects. */
  readonly signal: AbortSignal;
}

/** One way to bring a plugin to life. One implementation for each kind of source. */
export interface PluginLauncher {
  readonly origin: PluginOrigin;
  /** Known before the launch for endpoints, so that two operations cannot take the same one. */
  readonly address: PluginAddress | undefined;
  /** What the source says of itself before it runs; modules do. */
  readonly declares: PluginDeclaration | undefined;
  launch(context: LaunchContext): Promise<LaunchedPlugin>;
}
