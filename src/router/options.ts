import { invalid } from "../errors.js";
import { checkNumber } from "../model/limits.js";
import { type TrustedProxies, trustedProxies } from "./trusted-proxies.js";
import { UpstreamTls, type UpstreamTlsOptions } from "./upstream-tls.js";

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
  /**
   * What becomes of calls for which there are ejected providers only: `fail` refuses them with `unavailable` and the time
   * when the first is tried again; `try` sends them there all the same. A call that names an ejected provider has only
   * that one. @default "fail": an ejection is short, and whoever waits gets an answer sooner than from a provider that
   * is down
   */
  readonly whenAllEjected?: "fail" | "try";
  /**
   * How long a call or an upgraded connection may last in which no byte moves in either direction, in milliseconds, before it
   * is cut off; found out after one to two times that for calls. Once one side of an upgraded connection has ended its direction, `headersTimeoutMs` counts if it is shorter. @default Infinity
   */
  readonly idleStreamMs?: number;
  /** The longest request body in bytes, counted as it passes. @default Infinity */
  readonly maxBodyBytes?: number;
  /**
   * How much of a request's body is kept until its answer begins, in bytes, so that a call that its provider refused
   * unseen can be sent again. @default 65_536
   */
  readonly replayMaxBytes?: number;
  /** How many calls one provider may work on at a time; more wait. @default 10_000 */
  readonly maxInFlightPerProvider?: number;
  /**
   * How many calls may wait for a provider that works on as many as it may; more are refused with `unavailable`. Calls
   * for any provider of a type wait in a line of their own, as long for each provider of it that is full. Callers take
   * turns, and none can keep the others out of a line. 0: nobody waits. @default 1_000
   */
  readonly maxQueuedPerProvider?: number;
  /** How long such a call waits at most, in milliseconds, before it is refused. 0: nobody waits. @default 1_000 */
  readonly queueTimeoutMs?: number;
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
  /**
   * Peer addresses, and ranges of them such as `10.0.0.0/8`, whose `X-Forwarded-*` fields are believed and continued. An
   * IPv4 address counts as well where it is mapped into IPv6. @default [] (nobody's)
   */
  readonly trustedProxies?: readonly string[];
  /** Whether `Authorization` and `Cookie` of ingress users are kept from providers. @default false */
  readonly stripUserCredentials?: boolean;
  /** Certificates towards providers over `https:`. @default what Node trusts, and no certificate of the host's own */
  readonly tls?: UpstreamTlsOptions;
  /** The host's name in `Via`. @default "connect-plugin-host" */
  readonly viaName?: string;
}

/** {@link RouterOptions} with every default filled in. Frozen. */
export type ResolvedRouterOptions = Readonly<Required<Omit<RouterOptions, "tls" | "trustedProxies">>> & {
  /** Whether what a peer says is believed. */
  readonly trustedProxies: TrustedProxies;
  readonly tls: UpstreamTls;
};

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

function checkWhenAllEjected(value: "fail" | "try"): "fail" | "try" {
  if (value === "fail" || value === "try") return value;
  throw invalid("router.whenAllEjected", `must be "fail" or "try", got ${JSON.stringify(value)}`);
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
    whenAllEjected: checkWhenAllEjected(given.whenAllEjected ?? "fail"),
    idleStreamMs: number("idleStreamMs", Number.POSITIVE_INFINITY),
    maxBodyBytes: number("maxBodyBytes", Number.POSITIVE_INFINITY, 0),
    replayMaxBytes: number("replayMaxBytes", 65_536, 0),
    maxInFlightPerProvider: number("maxInFlightPerProvider", 10_000),
    maxQueuedPerProvider: number("maxQueuedPerProvider", 1_000, 0),
    queueTimeoutMs: number("queueTimeoutMs", 1_000, 0),
    idleSocketMs: number("idleSocketMs", 4_000, 0),
    idleSessionMs: number("idleSessionMs", 60_000, 0),
    maxStreamsPerSession: number("maxStreamsPerSession", 100),
    probeTimeoutMs: number("probeTimeoutMs", 1_000),
    retryAfterMs: number("retryAfterMs", 1_000),
    maxHeaderBytes: number("maxHeaderBytes", 65_536, 1_024),
    publicHost: checkHost(given.publicHost ?? ""),
    trustedProxies: trustedProxies("router.trustedProxies", given.trustedProxies ?? []),
    stripUserCredentials: checkBoolean("router.stripUserCredentials", given.stripUserCredentials ?? false),
    tls: new UpstreamTls(given.tls),
    viaName: checkViaName(given.viaName ?? "connect-plugin-host"),
  });
}
