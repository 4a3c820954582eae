import type { Clock } from "../internal/clock.js";
import type { PlatformEvents } from "../model/platform-events.js";
import type { LivePlugin } from "./live-plugin.js";
import type { StartSpec } from "./start-spec.js";

/** What supervising needs of the rest of the host. */
export interface SupervisionParts {
  readonly clock: Clock;
  /** A number from 0 up to, and without, 1. */
  readonly random: () => number;
  readonly emit: (name: "supervision", event: PlatformEvents["supervision"]) => void;
  /** Takes what a plugin that has ended can still do: its identity, its connections, what is left of its program. */
  readonly disable: (plugin: LivePlugin) => void;
  /** Whether something that the plugin requires is not there. */
  readonly isBlocked: (plugin: LivePlugin) => boolean;
  /** Starts the plugin again; `onCommit` comes right before everybody sees the new incarnation, what it returns after. */
  readonly restart: (start: {
    readonly spec: StartSpec;
    readonly before: LivePlugin;
    readonly isNameOpen: boolean;
    readonly onCommit: (plugin: LivePlugin) => () => void;
    readonly signal: AbortSignal;
  }) => Promise<LivePlugin>;
}
