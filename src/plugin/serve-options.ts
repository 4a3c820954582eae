import { readFileSync } from "node:fs";
import { invalid } from "../errors.js";
import { type ResolvedServerTls, resolveServerTls, type ServerTlsOptions } from "../http/server-tls.js";
import { checkAuthorities, type Pem } from "../http/tls-material.js";
import type { BackOffOptions } from "../internal/back-off.js";
import { type Clock, systemClock } from "../internal/clock.js";
import { hostFeatures, linkFeature } from "../link/host-features.js";
import { checkNumber } from "../model/limits.js";
import { defaultBackOff } from "./back-off.js";
import { type HostAddress, parseHostUrl } from "./host-address.js";
import { defaultHandshake, type HandshakeSettings } from "./host-handshake.js";
import { launchSecret } from "./known-host.js";
import type { PluginEventListener } from "./plugin-event.js";
import { defaultTimes, type SessionTimes } from "./session-times.js";

/** Options of `servePlugin`. The environment is read once, and only where the option is missing. */
export interface ServeOptions extends Partial<SessionTimes> {
  /** Address to listen on. @default HOSTNAME if PORT is set as well, else "127.0.0.1" */
  readonly host?: string;
  /** TCP port, 0 for any that is free. @default PORT, else 0 */
  readonly port?: number;
  /** Path of a Unix socket, instead of host and port. */
  readonly path?: string;
  /**
   * `never`: the plugin opens no port. It is reached over its link to the host, which has to take links; PORT in the
   * environment is left alone. `always`: it listens, and is reached over the link as well if the host takes links.
   * `auto`: as `never` in a program that a host launched which takes links (HOST_FEATURES in the environment says so), unless one of
   * `host`, `port`, `path`, `tls` and `baseUrl` is given or `link` is "off"; as `always` everywhere else. @default "auto"
   */
  readonly listen?: "auto" | "always" | "never";
  /**
   * `auto`: one connection carries calls in both directions if the host takes links, and plain HTTP does otherwise.
   * `off`: plain HTTP always. @default "auto"
   */
  readonly link?: "auto" | "off";
  /**
   * Where the plugin registers itself: `http://host:port`, with a path in front if the host gave one, or `unix:/path`.
   * Empty, or missing in the environment too: the plugin waits for a host to call it. @default HOST_URL
   */
  readonly hostUrl?: string;
  /**
   * PEM of the authorities that the host's certificate may come from, instead of those that Node trusts (where
   * NODE_EXTRA_CA_CERTS can name more). @default HOST_CA, which holds the PEM itself, else the file that HOST_CA_FILE names
   */
  readonly ca?: Pem | readonly Pem[];
  /**
   * Whether others than the host may call what the plugin provides, at its own port. `allow` lets them through without the headers
   * that say who calls. Health and description are for everybody, and control is for the host alone, in both cases. Under
   * a host that gives no secret everybody counts as the host. @default "refuse"
   */
  readonly directCalls?: "refuse" | "allow";
  /** Makes the plugin's own port speak TLS. The host has to trust the certificate. @default cleartext */
  readonly tls?: Omit<ServerTlsOptions, "ca">;
  /** Where the host reaches the plugin, without a slash at the end. @default where it listens */
  readonly baseUrl?: string;
  /** What the handshake says. @default the wire contract's cookie and versions; joinToken from CONNECT_PLUGIN_JOIN_TOKEN */
  readonly handshake?: Partial<HandshakeSettings>;
  /** How long the first registration may take; later ones are tried without end. @default Infinity */
  readonly startTimeoutMs?: number;
  /** How long `stop` waits for calls in flight, unless told otherwise. @default 5_000 */
  readonly graceMs?: number;
  /** Signals of the process that stop the plugin, such as SIGTERM and SIGINT. @default none */
  readonly shutdownSignals?: readonly NodeJS.Signals[];
  /** How long to wait between attempts to reach the host. */
  readonly backOff?: Partial<BackOffOptions>;
  /** Told of everything that happens, for logs. */
  readonly onEvent?: PluginEventListener;
  /** Where time comes from. @default the system's */
  readonly clock?: Clock;
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Checked options with their defaults. */
export interface ResolvedServeOptions {
  readonly listen: { readonly host: string; readonly port: number } | { readonly path: string } | "never";
  readonly link: "auto" | "off";
  readonly directCalls: "refuse" | "allow";
  /** By what the plugin knows its host before it has shaken hands; empty for nothing. */
  readonly hostSecret: string;
  readonly host: HostAddress | undefined;
  readonly ca: readonly string[] | undefined;
  readonly tls: ResolvedServerTls | undefined;
  readonly baseUrl: string | undefined;
  readonly handshake: HandshakeSettings;
  readonly times: SessionTimes;
  readonly startTimeoutMs: number;
  readonly graceMs: number;
  readonly shutdownSignals: readonly NodeJS.Signals[];
  readonly backOff: BackOffOptions;
  readonly onEvent: PluginEventListener;
  readonly clock: Clock;
}

const longestMs = 2 ** 31 - 1;

/** @throws PluginHostError `INVALID_ARGUMENT` that names the option or the variable */
export function resolveServeOptions(given: ServeOptions): ResolvedServeOptions {
  const env = given.env ?? process.env;
  const joinToken = env.CONNECT_PLUGIN_JOIN_TOKEN;
  const hostUrl = given.hostUrl ?? env.HOST_URL ?? "";
  const ca = authorities(given.ca, env);
  const link = oneOf("link", given.link ?? "auto", ["auto", "off"]);
  const asked = oneOf("listen", given.listen ?? "auto", ["auto", "always", "never"]);
  const listens = asked === "always" || (asked === "auto" && !needsNoPort(given, env, link));
  if (!listens) checkListensNowhere(given, hostUrl, link);
  const listen = listens ? listenTarget(given, env) : "never";
  if (given.tls !== undefined && typeof listen === "object" && "path" in listen)
    throw invalid("tls", "is for TCP ports, and path was given");
  const time = (name: keyof SessionTimes): number => checkNumber(name, given[name] ?? defaultTimes[name], 1, longestMs);
  const hostField = given.hostUrl === undefined ? "HOST_URL" : "hostUrl";
  const host = hostUrl === "" ? undefined : parseHostUrl(hostField, hostUrl, undefined, ca);
  const checksFromStart = given.hostUrl === undefined && featuresIn(env).includes(hostFeatures.hostSecret);
  return Object.freeze({
    listen,
    link,
    directCalls: oneOf("directCalls", given.directCalls ?? "refuse", ["refuse", "allow"]),
    hostSecret: checksFromStart ? launchSecret(host) : "",
    host,
    ca,
    tls: given.tls && resolveServerTls(given.tls),
    baseUrl: given.baseUrl?.replace(/\/+$/, ""),
    handshake: Object.freeze({
      ...defaultHandshake,
      ...(joinToken !== undefined && joinToken !== "" && { joinToken }),
      ...given.handshake,
    }),
    times: Object.freeze({
      hostCallTimeoutMs: time("hostCallTimeoutMs"),
      heartbeatMs: time("heartbeatMs"),
      renewMs: time("renewMs"),
    }),
    startTimeoutMs: checkNumber("startTimeoutMs", given.startTimeoutMs ?? Number.POSITIVE_INFINITY, 1),
    graceMs: checkNumber("graceMs", given.graceMs ?? 5_000, 0, longestMs),
    shutdownSignals: Object.freeze([...(given.shutdownSignals ?? [])]),
    backOff: Object.freeze({ ...defaultBackOff, ...given.backOff }),
    onEvent: given.onEvent ?? (() => {}),
    clock: given.clock ?? systemClock,
  });
}

function oneOf<T extends string>(field: string, given: T, allowed: readonly T[]): T {
  if (allowed.includes(given)) return given;
  const names = allowed.map((name) => JSON.stringify(name)).join(" or ");
  throw invalid(field, `must be ${names}, got ${JSON.stringify(given)}`);
}

/**
 * Whether the host that launched the program has said that it takes links. An open port is one more way in, for everybody on
 * this machine, and the link carries all that HTTP does here: what it cannot, upgrades, a plugin's own server does not take either.
 */
function needsNoPort(
  given: ServeOptions,
  env: Readonly<Record<string, string | undefined>>,
  link: "auto" | "off",
): boolean {
  if (link === "off" || given.hostUrl !== undefined || !env.HOST_URL?.includes("/_launch/")) return false;
  if (onlyForPorts.some((name) => given[name] !== undefined)) return false;
  return featuresIn(env).includes(linkFeature);
}

/** What the host that launched the program has said that it can do. */
const featuresIn = ({ HOST_FEATURES: text = "" }: Readonly<Record<string, string | undefined>>): readonly string[] =>
  text.split(",");

const onlyForPorts = ["host", "port", "path", "tls", "baseUrl"] as const;

function checkListensNowhere(given: ServeOptions, hostUrl: string, link: "auto" | "off"): void {
  if (hostUrl === "")
    throw invalid("listen", 'is "never", so the plugin needs a host to dial: set hostUrl or HOST_URL');
  if (link === "off") throw invalid("listen", 'is "never", so link must not be "off": nothing else reaches the plugin');
  for (const name of onlyForPorts) {
    if (given[name] !== undefined) throw invalid(name, 'cannot be given together with listen: "never"');
  }
}

function authorities(
  given: ServeOptions["ca"],
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] | undefined {
  if (given !== undefined) return checkAuthorities("ca", given);
  const { HOST_CA: text = "", HOST_CA_FILE: file = "" } = env;
  if (text !== "") return checkAuthorities("HOST_CA", text);
  if (file === "") return undefined;
  let read: Buffer;
  try {
    read = readFileSync(file);
  } catch (cause) {
    throw invalid("HOST_CA_FILE", `names a file that cannot be read: ${(cause as Error).message}`, cause);
  }
  return checkAuthorities("HOST_CA_FILE", read);
}

function listenTarget(
  given: ServeOptions,
  env: Readonly<Record<string, string | undefined>>,
): ResolvedServeOptions["listen"] {
  if (given.path !== undefined) {
    if (given.port !== undefined || given.host !== undefined)
      throw invalid("path", "cannot be given together with host or port");
    return { path: given.path };
  }
  const fromEnv = given.port === undefined && env.PORT !== undefined && env.PORT !== "";
  const field = fromEnv ? "PORT" : "port";
  const port = checkNumber(field, fromEnv ? Number(env.PORT) : (given.port ?? 0), 0, 65_535);
  if (!Number.isInteger(port)) throw invalid(field, `must be a whole number, got ${port}`);
  // Many shells export the machine's name as HOSTNAME; it is meant for us only together with a port.
  const named = fromEnv && env.HOSTNAME !== "" ? env.HOSTNAME : undefined;
  return { host: given.host ?? named ?? "127.0.0.1", port };
}
