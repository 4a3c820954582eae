import type { RequestHead } from "../http/exchange.js";
import { isLoopbackHost } from "./admission.js";

/** Where the host may be called by name. */
export interface OriginGuardOptions {
  /** Whether requests over TCP come to loopback addresses only, so that other names in `Host` are a sign of DNS rebinding. */
  readonly loopbackOnly: boolean;
  /** `host:port` of the public URL, lower case, if one is configured. */
  readonly publicAuthority: string | undefined;
}

const hostPattern = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._~-]+)(?::\d{1,5})?$/;

/** Whether a `Host` or `:authority` is a host name or address, with or without a port. */
export const isAuthority = (text: string): boolean => hostPattern.test(text);

/**
 * Undefined if the request's `Host` and `Origin` are fine, otherwise the reason to refuse it: a web page
 * must not reach a host on loopback through a name that was made to point there, nor from another site.
 */
export function originRefusal(head: RequestHead, options: OriginGuardOptions): string | undefined {
  if (head.connection.transport !== "tcp") return undefined;
  const hostName = hostPattern.exec(head.authority)?.[1];
  if (hostName === undefined) return "the Host header is missing or not a host name";
  if (!options.loopbackOnly) return undefined;
  const isKnown = (authority: string, name: string): boolean =>
    isLoopbackHost(name) || authority.toLowerCase() === options.publicAuthority;
  if (!isKnown(head.authority, hostName)) {
    return "this host listens on loopback and is not called by that name; set publicUrl if it is";
  }
  const origin = head.header("origin");
  if (origin === undefined) return undefined;
  const match = /^[a-z][a-z0-9+.-]*:\/\/(.+)$/i.exec(origin);
  const originAuthority = match?.[1] ?? "";
  const originName = hostPattern.exec(originAuthority)?.[1];
  if (originName !== undefined && isKnown(originAuthority, originName)) return undefined;
  return "requests from web pages of other sites are refused";
}
