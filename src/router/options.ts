import { isIP } from "node:net";
import { invalid } from "../errors.js";
import { checkNumber } from "../model/limits.js";

/** Limits and habits of the router. All of them have defaults. */
export interface RouterOptions {
  /**
   * How long to wait for a provider's response head, in milliseconds, counted from the end of the request (or from the
   * moment the provider stopped reading it). A stream that has begun is never cut. @default 30_000
   */
  readonly headersTimeoutMs?: number;
  /** How long a new connection to a provider may take, in milliseconds. @default 5_000 */
  readonly connectTimeoutMs?: number;
  /**
   * For how long after it started or registered a provider that refuses connections is dialled again, in milliseconds.
   * @default 5_000
   */
  readonly startGraceMs?: number;
  /** The longest request body in bytes, counted as it passes. @default Infinity */
  readonly maxBodyBytes?: number;
  /** How many calls one provider may work on at a time; more are refused with `unavailable`. @default 10_000 */
  readonly maxInFlightPerProvider?: number;
  /**
   * How long an unused HTTP/1.1 connection to a provider is kept, in milliseconds. A provider's own `Keep-Alive: timeout`
   * shortens it, so that no call goes out on a connection that is just being closed. @default 4_000
   */
  readonly idleSocketMs?: number;
  /** How long an unused HTTP/2 connection to a provider is kept, in milliseconds. @default 60_000 */
  readonly idleSessionMs?: number;
  /** How many calls share one HTTP/2 connection to a provider, if the provider allows as many. @default 100 */
  readonly maxStreamsPerSession?: number;
  /** How long a provider may take to show that it speaks HTTP/2, in milliseconds. @default 1_000 */
  readonly probeTimeoutMs?: number;
  /** What a refusal that is worth a retry says in `Retry-After`, in milliseconds; sent as whole seconds. @default 1_000 */
  readonly retryAfterMs?: number;
  /** The largest head of a provider's answer, in bytes. @default 65_536 */
  readonly maxHeaderBytes?: number;
  /** Sent as `X-Forwarded-Host` where the caller's request names no host. @default "" (not sent) */
  readonly publicHost?: string;
  /** Peer addresses whose `X-Forwarded-*` fields are believed and continued. @default [] (nobody's) */
  readonly trustedProxies?: readonly string[];
  /** Whether `Authorization` and `Cookie` of ingress users are kept from providers. @default false */
  readonly stripUserCredentials?: boolean;
  /** The host's name in `Via`. @default "connect-plugin-host" */
  readonly viaName?: string;
}

/** {@link RouterOptions} with every default filled in. Frozen. */
export type ResolvedRouterOptions = Readonly<Required<RouterOptions>>;

// A token, as RFC 9110 allows for a pseudonym in Via.
const tokenPattern = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

function checkViaName(name: string): string {
  if (typeof name !== "string" || !tokenPattern.test(name))
    throw invalid("router.viaName", `must be an HTTP token, got ${JSON.stringify(name)}`);
  return name;
}

function checkHost(host: string): string {
  if (typeof host === "string" && /^[!-~]*$/.test(host)) return host;
  throw invalid("router.publicHost", `must be a host name with or without a port, got ${JSON.stringify(host)}`);
}

function checkAddresses(addresses: readonly string[]): readonly string[] {
  if (Array.isArray(addresses) && addresses.every((address) => isIP(address) !== 0))
    return Object.freeze([...addresses]);
  throw invalid("router.trustedProxies", `must be a list of IP addresses, got ${JSON.stringify(addresses)}`);
}

function checkBoolean(field: string, value: boolean): boolean {
  if (typeof value !== "boolean") throw invalid(field, `must be true or false, got ${JSON.stringify(value)}`);
  return value;
}

/**
 * Checks the options once and fills in the defaults. The caller's object is not touched.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the field
 */
export function resolveRouterOptions(given: RouterOptions = {}): ResolvedRouterOptions {
  if (typeof given !== "object" || given === null) throw invalid("router", `must be an object, got ${String(given)}`);
  const number = (name: keyof RouterOptions, fallback: number, min = 1): number =>
    checkNumber(`router.${name}`, (given[name] as number | undefined) ?? fallback, min);
  return Object.freeze({
    headersTimeoutMs: number("headersTimeoutMs", 30_000),
    connectTimeoutMs: number("connectTimeoutMs", 5_000),
    startGraceMs: number("startGraceMs", 5_000, 0),
    maxBodyBytes: number("maxBodyBytes", Number.POSITIVE_INFINITY, 0),
    maxInFlightPerProvider: number("maxInFlightPerProvider", 10_000),
    idleSocketMs: number("idleSocketMs", 4_000, 0),
    idleSessionMs: number("idleSessionMs", 60_000, 0),
    maxStreamsPerSession: number("maxStreamsPerSession", 100),
    probeTimeoutMs: number("probeTimeoutMs", 1_000),
    retryAfterMs: number("retryAfterMs", 1_000),
    maxHeaderBytes: number("maxHeaderBytes", 65_536, 1_024),
    publicHost: checkHost(given.publicHost ?? ""),
    trustedProxies: checkAddresses(given.trustedProxies ?? []),
    stripUserCredentials: checkBoolean("router.stripUserCredentials", given.stripUserCredentials ?? false),
    viaName: checkViaName(given.viaName ?? "connect-plugin-host"),
  });
}
