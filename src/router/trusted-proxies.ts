import { BlockList, isIP, isIPv4 } from "node:net";
import { invalid } from "../errors.js";

/** Whether what a peer says of the callers before it is believed. */
export type TrustedProxies = (remoteAddress: string) => boolean;

const nobody: TrustedProxies = () => false;

/** An IPv4 address that is written as an IPv6 one, as sockets that listen for both tell it. */
const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
const mappedPrefixBits = 96;

/**
 * Reads addresses, and ranges of them such as `10.0.0.0/8` or `fd00::/8`. An IPv4 address and the same address mapped into
 * IPv6 (`::ffff:10.0.0.1`) are one.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names `field`
 */
export function trustedProxies(field: string, given: readonly string[]): TrustedProxies {
  if (!Array.isArray(given)) throw invalid(field, `must be a list of IP addresses and ranges, got ${shown(given)}`);
  if (given.length === 0) return nobody;
  const list = new BlockList();
  for (const one of given) {
    if (typeof one !== "string" || !add(list, one)) {
      throw invalid(field, `must be IP addresses, or ranges such as 10.0.0.0/8, got ${shown(one)}`);
    }
  }
  return (remoteAddress) => {
    const address = mapped.exec(remoteAddress)?.[1] ?? remoteAddress;
    const version = isIP(address);
    return version !== 0 && list.check(address, version === 4 ? "ipv4" : "ipv6");
  };
}

/** Whether it could be read. */
function add(list: BlockList, text: string): boolean {
  const [, written = "", bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const inner = mapped.exec(written)?.[1];
  const address = inner ?? written;
  if (isIP(address) === 0) return false;
  const longest = isIPv4(address) ? 32 : 128;
  const prefix = bits === undefined ? longest : Number(bits) - (inner === undefined ? 0 : mappedPrefixBits);
  if (prefix < 0 || prefix > longest) return false;
  list.addSubnet(address, prefix, isIPv4(address) ? "ipv4" : "ipv6");
  return true;
}

const shown = (value: unknown): string => JSON.stringify(value) ?? String(value);
