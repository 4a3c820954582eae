import type { LivePlugin } from "./live-plugin.js";
import type { Reactions } from "./reactions.js";

/**
 * Whether calls of its own are the only sign of life that a plugin can give: it registered by itself, the host cannot reach it, it
 * offers nothing, and has no watch open.
 */
export const isSilent = (plugin: LivePlugin, reactions: Reactions): boolean =>
  plugin.origin === "self-registered" &&
  plugin.address.kind === "external" &&
  plugin.registrations.size === 0 &&
  plugin.phase.kind === "serving" &&
  !reactions.isWatching(plugin.runtimeId);
