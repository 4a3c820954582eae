import { connect as connectSocket } from "node:net";
import type { Duplex } from "node:stream";
import { invalid } from "../errors.js";
import type { LinkSession } from "../link/link-session.js";

/** Where a plugin finds its host. */
export interface HostAddress {
  /** Equal exactly if two addresses are the same. A secret, as it holds the prefix. */
  readonly key: string;
  /** `http://host:port`, never with a slash at the end. */
  readonly origin: string;
  /** Goes in front of every path, such as `/_launch/<nonce>`; empty if there is none. A secret. */
  readonly prefix: string;
  /** Opens a connection where it is not TCP to `origin`. */
  readonly connect: (() => Duplex) | undefined;
  /** Whether `connect` stays inside this process. */
  readonly inMemory: boolean;
  /** Authorities that its certificate may come from; undefined for those that Node trusts. */
  readonly ca?: readonly string[] | undefined;
  /** The link that was there before everything else, where it is the only way to the host. */
  readonly held?: { readonly session: LinkSession | undefined };
}

/**
 * Reads HOST_URL: `http://host:port`, `https://host`, either with a path in front of every call, or `unix:/path/of.sock`.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names `field`
 */
export function parseHostUrl(field: string, text: string, connect?: () => Duplex, ca?: readonly string[]): HostAddress {
  if (text.startsWith("unix:/")) {
    const path = text.slice("unix:".length);
    const inMemory = connect !== undefined;
    return {
      key: text,
      origin: "http://localhost",
      prefix: "",
      connect: connect ?? (() => connectSocket(path)),
      inMemory,
    };
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    // The text may hold a join token, so it is not shown.
    throw invalid(field, 'must be a URL such as "http://127.0.0.1:8080" or "unix:/run/host.sock"');
  }
  if (url.search !== "" || url.hash !== "") throw invalid(field, 'must not contain "?" or "#"');
  const prefix = url.pathname.replace(/\/+$/, "");
  return { key: url.origin + prefix, origin: url.origin, prefix, connect, inMemory: connect !== undefined, ca };
}
