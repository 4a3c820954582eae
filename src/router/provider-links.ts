import type { LinkSession } from "../link/link-session.js";
import type { RuntimeId } from "../model/catalog.js";

/** The links of plugins, as far as the router knows them. */
export interface ProviderLinks {
  /** The plugin's link if it takes calls now. */
  sessionOf(runtimeId: RuntimeId): LinkSession | undefined;
}

/** For a router whose plugins have none. */
export const noLinks: ProviderLinks = { sessionOf: () => undefined };
