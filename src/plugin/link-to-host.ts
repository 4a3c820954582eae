import { HeldLink, type HeldLinkOptions } from "./held-link.js";
import type { InstanceOptions } from "./instance-options.js";
import { PluginLink, type PluginLinkOptions } from "./plugin-link.js";

/** What a link of either kind needs of the plugin. */
export interface LinkToHostParts
  extends Pick<PluginLinkOptions, "cell" | "onOpen" | "onRefused" | "onEvent">,
    Pick<HeldLinkOptions, "onEnd"> {
  /** Makes what takes the calls of the link. */
  readonly onCall: () => PluginLinkOptions["onCall"];
}

/** The link that a plugin is to have with its host: one that it was started with, one that it dials, or none. */
export function linkToHost(
  { link, clock, backOff, times }: InstanceOptions,
  { cell, onOpen, onRefused, onEnd, onEvent, ...parts }: LinkToHostParts,
): HeldLink | PluginLink | undefined {
  if (link === "off") return undefined;
  const onCall = parts.onCall();
  if (link !== "auto") return new HeldLink({ transport: link, clock, onCall, onEnd, onEvent });
  const dialTimeoutMs = times.hostCallTimeoutMs;
  return new PluginLink({ cell, clock, backOff, dialTimeoutMs, onCall, onOpen, onRefused, onEvent });
}
