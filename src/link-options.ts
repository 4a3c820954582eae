import { checkObject } from "./http/check-object.js";
import { defaultLinkLimits, type LinkLimits, resolveLinkLimits } from "./link/link-limits.js";
import { checkWhole } from "./option-checks.js";

/** Settings of the links that plugins dial. What is not here is as the link's specification has it by default. */
export interface LinkOptions extends Partial<LinkLimits> {
  /** Links at once; more are refused with 503. @default 10_000 */
  readonly maxLinks?: number;
}

/** Settings of links that were checked. */
export interface ResolvedLinkOptions {
  readonly maxLinks: number;
  readonly limits: LinkLimits;
}

/** Undefined while links are off. @throws PluginHostError `INVALID_ARGUMENT` with the field */
export function resolveLink(given: LinkOptions | false = {}): ResolvedLinkOptions | undefined {
  if (given === false) return undefined;
  checkObject("link", given, ["maxLinks", ...Object.keys(defaultLinkLimits)]);
  const { maxLinks = 10_000, ...limits } = given;
  return Object.freeze({ maxLinks: checkWhole("link.maxLinks", maxLinks, 1), limits: resolveLinkLimits(limits) });
}
