import { invalid, PluginHostError } from "./errors.js";
import type { RequestHead } from "./http/exchange.js";
import type { HttpServerLimits } from "./http/server-limits.js";
import { type Clock, systemClock } from "./internal/clock.js";
import type { Rate } from "./internal/token-bucket.js";
import type { StepLimits } from "./lifecycle/limits.js";
import type { RuntimeId } from "./model/catalog.js";
import { checkName, checkNumber } from "./model/limits.js";
import type { Principal } from "./model/principal.js";
import type { RouterOptions } from "./router/options.js";

/** A call on which a platform's `authorize` decides. */
export interface CallToAuthorize {
  readonly caller: Principal;
  readonly provider: { readonly runtimeId: RuntimeId; readonly selfId: string };
  readonly serviceType: string;
  /** Path on the provider, without query. */
  readonly method: string;
}

/** Decides whether the user of an exposed service may call: the user's name, or undefined to refuse with `unauthenticated`. */
export type IngressCheck = (head: RequestHead) => string | undefined | Promise<string | undefined>;

/** A service type that callers without a plugin's identity reach under a path of the host. */
export interface IngressOptions {
  /** Such as `/` or `/api`. The longest prefix that fits a request wins; the host's own paths come before all of them. */
  readonly prefix: string;
  /** The service type. A provider is chosen for each call, as for `/services/<type>/any/`. */
  readonly type: string;
  /** `open` for everybody, or a check of each request. */
  readonly access: "open" | IngressCheck;
}

/** Health settings. */
export interface HealthOptions {
  /** Time between two polls of a plugin. @default 10_000 */
  readonly intervalMs?: number;
  /** Limit of one poll. @default 2_000 */
  readonly timeoutMs?: number;
  /** Time to the next poll after a failed one; it doubles up to `intervalMs`. @default 250 */
  readonly retryMs?: number;
  /** How long failed polls of a plugin that was never seen do not count. @default 5_000 */
  readonly startGraceMs?: number;
  /** Failed polls in a row that make a plugin unhealthy. @default 3 */
  readonly fallThreshold?: number;
  /** Good polls in a row that make it healthy again. @default 2 */
  readonly riseThreshold?: number;
  /** Failed calls in a row that eject a plugin. @default 5 */
  readonly ejectAfterFailures?: number;
  /** First ejection; each further one in a row is twice as long. @default 1_000 */
  readonly ejectMs?: number;
  /** Longest ejection. @default 30_000 */
  readonly maxEjectMs?: number;
}

/** Settings of a {@link Platform}. All of them have defaults; the object is read once and never written to. */
export interface PlatformOptions {
  /** Where plugins and callers reach the host if that is not where it listens, such as `https://plugins.example.org/host`. */
  readonly publicUrl?: string;
  /** Token that admits new plugins. Needed where the host listens beyond loopback. */
  readonly joinToken?: string;
  /** Admit anyone who reaches the host, also beyond loopback. @default false */
  readonly allowOpenAdmission?: boolean;
  /** The handshake's cookie, which tells a plugin's program that it speaks to a host of its kind. No secret. */
  readonly magicCookie?: { readonly key: string; readonly value: string };
  /** Version of the protocol between this host's plugins and the program that embeds it; matched exactly. @default 1 */
  readonly appProtocolVersion?: number;
  /** How long a token lives after the last proof of life. @default 24 h */
  readonly tokenTtlMs?: number;
  /** How long an old token stays good after its renewal. @default 60_000 */
  readonly tokenOverlapMs?: number;
  /** Most identities at once. @default 100_000 */
  readonly maxIdentities?: number;
  /** Most registrations of one plugin. @default 1_000 */
  readonly maxRegistrationsPerPlugin?: number;
  /** How long the id of a replaced plugin keeps answering at most. @default 1 h */
  readonly aliasLifeMs?: number;
  /** Where plugins that register by themselves may say that they listen. @default "peer-or-loopback" */
  readonly baseUrls?: "peer-or-loopback" | "any";
  readonly health?: HealthOptions;
  /** Time limits of the steps of add, remove and replace. */
  readonly limits?: Partial<StepLimits>;
  readonly router?: RouterOptions;
  /** Limits of the host's own server. */
  readonly server?: HttpServerLimits;
  readonly ingress?: readonly IngressOptions[];
  /** Undefined if the call may pass, otherwise the reason why not. Synchronous; called for each call. @default all may */
  readonly authorize?: (call: CallToAuthorize) => string | undefined;
  /** Calls that one caller may make. @default no limit */
  readonly callerRate?: Rate;
  /** How long `stop` may take. @default 10_000 */
  readonly stopBudgetMs?: number;
  /** Where time comes from. @default the system's clocks */
  readonly clock?: Clock;
}

type Optional = "publicUrl" | "joinToken" | "authorize" | "callerRate" | "router" | "server";

/** Options with all defaults filled in. */
export type ResolvedOptions = Readonly<
  Required<Omit<PlatformOptions, Optional | "health" | "limits">> & {
    readonly [Name in Optional]: PlatformOptions[Name] | undefined;
  } & {
    readonly health: Required<HealthOptions>;
    readonly limits: StepLimits;
  }
>;

const hourMs = 3_600_000;

/** Checks the options, fills in the defaults and freezes the result. @throws PluginHostError `INVALID_ARGUMENT` */
export function resolveOptions(given: PlatformOptions): ResolvedOptions {
  const { health = {}, callerRate, joinToken, publicUrl } = given;
  if (joinToken !== undefined && !/^[A-Za-z0-9_-]{8,256}$/.test(joinToken)) {
    throw invalid("joinToken", 'must be 8 to 256 letters, digits, "-" or "_", so that it fits in a URL\'s path');
  }
  if (callerRate !== undefined) {
    checkNumber("callerRate.perSecond", callerRate.perSecond, Number.MIN_VALUE);
    checkNumber("callerRate.burst", callerRate.burst, 1);
  }
  return Object.freeze({
    publicUrl: publicUrl === undefined ? undefined : checkPublicUrl(publicUrl),
    joinToken,
    allowOpenAdmission: given.allowOpenAdmission ?? false,
    magicCookie: Object.freeze(
      given.magicCookie ?? { key: "CONNECT_PLUGIN", value: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e" },
    ),
    appProtocolVersion: checkNumber("appProtocolVersion", given.appProtocolVersion ?? 1, 0, 2 ** 31 - 1),
    tokenTtlMs: checkNumber("tokenTtlMs", given.tokenTtlMs ?? 24 * hourMs, 1),
    tokenOverlapMs: checkNumber("tokenOverlapMs", given.tokenOverlapMs ?? 60_000, 0),
    maxIdentities: checkNumber("maxIdentities", given.maxIdentities ?? 100_000, 1),
    maxRegistrationsPerPlugin: checkNumber("maxRegistrationsPerPlugin", given.maxRegistrationsPerPlugin ?? 1_000, 1),
    aliasLifeMs: checkNumber("aliasLifeMs", given.aliasLifeMs ?? hourMs, 0),
    baseUrls: checkOneOf("baseUrls", given.baseUrls ?? "peer-or-loopback", ["peer-or-loopback", "any"] as const),
    health: Object.freeze({
      intervalMs: checkNumber("health.intervalMs", health.intervalMs ?? 10_000, 1),
      timeoutMs: checkNumber("health.timeoutMs", health.timeoutMs ?? 2_000, 1),
      retryMs: checkNumber("health.retryMs", health.retryMs ?? 250, 1),
      startGraceMs: checkNumber("health.startGraceMs", health.startGraceMs ?? 5_000, 0),
      fallThreshold: checkNumber("health.fallThreshold", health.fallThreshold ?? 3, 1),
      riseThreshold: checkNumber("health.riseThreshold", health.riseThreshold ?? 2, 1),
      ejectAfterFailures: checkNumber("health.ejectAfterFailures", health.ejectAfterFailures ?? 5, 1),
      ejectMs: checkNumber("health.ejectMs", health.ejectMs ?? 1_000, 1),
      maxEjectMs: checkNumber("health.maxEjectMs", health.maxEjectMs ?? 30_000, 1),
    }),
    limits: resolveLimits("limits", given.limits),
    router: given.router,
    server: given.server,
    ingress: Object.freeze((given.ingress ?? []).map(checkIngress).sort((a, b) => b.prefix.length - a.prefix.length)),
    authorize: given.authorize,
    callerRate,
    stopBudgetMs: checkNumber("stopBudgetMs", given.stopBudgetMs ?? 10_000, 0),
    clock: given.clock ?? systemClock,
  });
}

const defaultLimits: StepLimits = Object.freeze({
  describeMs: 10_000,
  connectGraceMs: 2_000,
  identifyMs: 5_000,
  healthMs: 30_000,
  graceMs: 5_000,
  drainMs: 30_000,
  shutdownMs: 5_000,
});

/** Fills in what `given` leaves open. @throws PluginHostError `INVALID_ARGUMENT` */
export function resolveLimits(field: string, given: Partial<StepLimits> = {}, base = defaultLimits): StepLimits {
  const limits = { ...base };
  for (const name of Object.keys(base) as (keyof StepLimits)[]) {
    const value = given[name];
    if (value !== undefined) limits[name as "drainMs"] = checkNumber(`${field}.${name}`, value, 0);
  }
  return Object.freeze(limits);
}

function checkOneOf<T extends string>(field: string, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value))
    throw invalid(field, `must be one of ${allowed.join(", ")}, got ${JSON.stringify(value)}`);
  return value;
}

function checkPublicUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new PluginHostError("INVALID_ARGUMENT", `publicUrl must be a URL, got ${JSON.stringify(text)}`, {
      field: "publicUrl",
      cause,
    });
  }
  if (!/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    throw invalid("publicUrl", `must be an http or https URL without query and fragment, got ${JSON.stringify(text)}`);
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

function checkIngress({ prefix, type, access }: IngressOptions, index: number): IngressOptions {
  const field = `ingress[${index}]`;
  if (!/^\/[\x21-\x7e]*$/.test(prefix) || /[?#%\\]|\/\/|\.\./.test(prefix)) {
    throw invalid(`${field}.prefix`, `must be a plain path that begins with "/", got ${JSON.stringify(prefix)}`);
  }
  checkName(`${field}.type`, type);
  if (access !== "open" && typeof access !== "function") {
    throw invalid(`${field}.access`, 'must be "open" or a function that checks a request');
  }
  return Object.freeze({ prefix: prefix.replace(/\/+$/, ""), type, access });
}
