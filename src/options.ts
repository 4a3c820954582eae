import { type CapabilityOffer, type CheckedOffer, checkOffer } from "./capabilities/capability-offer.js";
import { invalid } from "./errors.js";
import { type GrantOptions, resolveGrants } from "./grant-options.js";
import { type HealthOptions, resolveHealth } from "./health-options.js";
import { checkObject } from "./http/check-object.js";
import { type HttpServerLimits, resolveServerLimits } from "./http/server-limits.js";
import type { BaseUrlPolicy } from "./identity/base-url-policy.js";
import { type CheckedIngress, type IngressOptions, resolveIngress } from "./ingress-options.js";
import { type Clock, systemClock } from "./internal/clock.js";
import type { Rate } from "./internal/token-bucket.js";
import type { StepLimits } from "./lifecycle/limits.js";
import { resolveLimits } from "./limit-options.js";
import { type LinkOptions, type ResolvedLinkOptions, resolveLink } from "./link-options.js";
import type { RuntimeId } from "./model/catalog.js";
import { checkNumber } from "./model/limits.js";
import type { PermissionPolicy } from "./model/permissions.js";
import type { Principal } from "./model/principal.js";
import {
  checkBoolean,
  checkClock,
  checkCookie,
  checkFunction,
  checkOneOf,
  checkPath,
  checkPublicUrl,
  checkRate,
  checkSecret,
  checkWhole,
} from "./option-checks.js";
import { type RouterOptions, resolveRouterOptions } from "./router/options.js";
import { type ResolvedSupervision, resolveSupervision, type SupervisionOptions } from "./supervision-options.js";

/** A call on which a platform's `authorize` decides. */
export interface CallToAuthorize {
  readonly caller: Principal;
  readonly provider: { readonly runtimeId: RuntimeId; readonly selfId: string };
  readonly serviceType: string;
  /** Path on the provider, without query. */
  readonly method: string;
}

/** Settings of a {@link Platform}. All of them have defaults; the object is read once and never written to. */
export interface PlatformOptions {
  /**
   * Where plugins and callers reach the host if that is not where it listens, such as `https://plugins.example.org/host`.
   * If that is beyond loopback, joining needs `joinToken` (or `allowOpenAdmission`) wherever the host listens: whoever
   * passes requests on to it does so for everybody.
   */
  readonly publicUrl?: string;
  /** Token that admits new plugins. Needed where the host listens beyond loopback. */
  readonly joinToken?: string;
  /**
   * Turns the admin service on, for whoever sends this token as `Authorization: Bearer`. At least 16 characters. The
   * admin's own listener (`listenAdmin`) may be opened with or without it. @default the admin service is off on the host's port
   */
  readonly adminToken?: string;
  /** Admit anyone who reaches the host, also beyond loopback. @default false */
  readonly allowOpenAdmission?: boolean;
  /** The handshake's cookie, which tells a plugin's program that it speaks to a host of its kind. No secret. */
  readonly magicCookie?: { readonly key: string; readonly value: string };
  /** Version of the protocol between this host's plugins and the program that embeds it; matched exactly. @default 1 */
  readonly appProtocolVersion?: number;
  /** How long a token lives after the last proof of life. @default 24 h */
  readonly tokenTtlMs?: number;
  /**
   * How long a plugin that registered by itself, offers nothing and has neither an address nor a link is shown without a sign
   * of life: a call, or an open watch. It is not revoked: its next call shows it again. @default 15 min
   */
  readonly hideSilentAfterMs?: number;
  /** How long an old token stays good after its renewal. @default 60_000 */
  readonly tokenOverlapMs?: number;
  /** Most identities at once. @default 100_000 */
  readonly maxIdentities?: number;
  /** Most registrations of one plugin. @default 1_000 */
  readonly maxRegistrationsPerPlugin?: number;
  /** Most watches that one plugin may have open at once. @default 1_000 */
  readonly maxWatchesPerPlugin?: number;
  /** How long the id of a replaced plugin keeps answering at most. @default 1 h */
  readonly aliasLifeMs?: number;
  /**
   * Whether plugins may call, discover, watch and register only what they declared. `declared`: whoever has said what it requires
   * and provides is held to it, whoever could not be asked is observed. `strict`: whoever has not said is refused, too. `off`: nobody
   * is held to anything. The host's own code and users of exposed services are not meant; see `authorize`. @default "declared"
   */
  readonly permissions?: PermissionPolicy;
  /** Where plugins that register by themselves may say that they listen. @default "peer-or-loopback" */
  readonly baseUrls?: BaseUrlPolicy;
  readonly health?: HealthOptions;
  /** Time limits of the steps of add, remove and replace. */
  readonly limits?: Partial<StepLimits>;
  readonly router?: RouterOptions;
  /** Limits of the host's own server. */
  readonly server?: HttpServerLimits;
  /** Links of plugins: their limits, or `false` for none at all. @default links are taken */
  readonly link?: LinkOptions | false;
  /**
   * How plugins that the host started are started again when they end; `false` for not at all, unless a plugin's spec says
   * otherwise. @default they are
   */
  readonly supervision?: SupervisionOptions | false;
  readonly ingress?: readonly IngressOptions[];
  /** What the host itself offers to plugins from the start; see also `offerCapability`. */
  readonly capabilities?: readonly CapabilityOffer[];
  readonly grants?: GrantOptions;
  /** Undefined if the call may pass, otherwise the reason why not. Synchronous; called for each call. @default all may */
  readonly authorize?: (call: CallToAuthorize) => string | undefined;
  /**
   * Calls that one caller may make: each plugin, each named user of an exposed service, and all unnamed users together.
   * The host's own code is not counted. @default no limit
   */
  readonly callerRate?: Rate;
  /** How long `stop` may take. @default 10_000 */
  readonly stopBudgetMs?: number;
  /**
   * A folder where the programs that run are written down, so that the next host with this folder kills what a host that was
   * killed has left running, and takes up what it was to keep. Made with mode 0700 if it is missing; for one host at a time.
   * @default nothing is written down
   */
  readonly stateDir?: string;
  /** Where time comes from. @default the system's clocks */
  readonly clock?: Clock;
}

type Optional =
  | "stateDir"
  | "publicUrl"
  | "joinToken"
  | "adminToken"
  | "authorize"
  | "callerRate"
  | "router"
  | "server";

/** Options with all defaults filled in. */
export type ResolvedOptions = Readonly<
  Required<
    Omit<
      PlatformOptions,
      Optional | "health" | "limits" | "link" | "supervision" | "ingress" | "capabilities" | "grants"
    >
  > & {
    readonly [Name in Optional]: PlatformOptions[Name] | undefined;
  } & {
    readonly health: Required<HealthOptions>;
    readonly limits: StepLimits;
    /** Undefined while links are off. */
    readonly link: ResolvedLinkOptions | undefined;
    readonly supervision: ResolvedSupervision;
    readonly ingress: readonly CheckedIngress[];
    readonly capabilities: readonly CheckedOffer[];
    readonly grants: Required<GrantOptions>;
  }
>;

const hourMs = 3_600_000;

const optionNames = [
  "publicUrl",
  "joinToken",
  "adminToken",
  "allowOpenAdmission",
  "magicCookie",
  "appProtocolVersion",
  "tokenTtlMs",
  "hideSilentAfterMs",
  "tokenOverlapMs",
  "maxIdentities",
  "maxRegistrationsPerPlugin",
  "maxWatchesPerPlugin",
  "aliasLifeMs",
  "permissions",
  "baseUrls",
  "health",
  "limits",
  "router",
  "server",
  "link",
  "supervision",
  "ingress",
  "capabilities",
  "grants",
  "authorize",
  "callerRate",
  "stopBudgetMs",
  "stateDir",
  "clock",
] as const satisfies readonly (keyof PlatformOptions)[];

const defaultCookie = Object.freeze({ key: "CONNECT_PLUGIN", value: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e" });

/** Checks the options, fills in the defaults and freezes the result. @throws PluginHostError `INVALID_ARGUMENT` */
export function resolveOptions(given: PlatformOptions): ResolvedOptions {
  checkObject("options", given, optionNames, "");
  const { router, server } = given;
  // Their parts resolve them again; here they are checked under the names that they have among these options.
  const serverNames = Object.keys(resolveServerLimits(server, "server"));
  const routerNames = Object.keys(resolveRouterOptions(router));
  if (server !== undefined) checkObject("server", server, serverNames);
  if (router !== undefined) checkObject("router", router, routerNames);
  return Object.freeze({
    publicUrl: checkPublicUrl(given.publicUrl),
    joinToken: checkSecret(
      "joinToken",
      given.joinToken,
      /^[A-Za-z0-9_-]{8,256}$/,
      '8 to 256 letters, digits, "-" or "_", so that it fits in a URL\'s path',
    ),
    adminToken: checkSecret(
      "adminToken",
      given.adminToken,
      /^[\x21-\x7e]{16,256}$/,
      "16 to 256 visible ASCII characters",
    ),
    allowOpenAdmission: checkBoolean("allowOpenAdmission", given.allowOpenAdmission ?? false),
    magicCookie: checkCookie("magicCookie", given.magicCookie ?? defaultCookie),
    appProtocolVersion: checkWhole("appProtocolVersion", given.appProtocolVersion ?? 1, 0, 2 ** 31 - 1),
    tokenTtlMs: checkNumber("tokenTtlMs", given.tokenTtlMs ?? 24 * hourMs, 1),
    hideSilentAfterMs: checkNumber("hideSilentAfterMs", given.hideSilentAfterMs ?? 900_000, 1),
    tokenOverlapMs: checkNumber("tokenOverlapMs", given.tokenOverlapMs ?? 60_000, 0),
    maxIdentities: checkNumber("maxIdentities", given.maxIdentities ?? 100_000, 1),
    maxRegistrationsPerPlugin: checkNumber("maxRegistrationsPerPlugin", given.maxRegistrationsPerPlugin ?? 1_000, 1),
    maxWatchesPerPlugin: checkNumber("maxWatchesPerPlugin", given.maxWatchesPerPlugin ?? 1_000, 1),
    aliasLifeMs: checkNumber("aliasLifeMs", given.aliasLifeMs ?? hourMs, 0),
    permissions: checkOneOf("permissions", given.permissions ?? "declared", ["declared", "strict", "off"] as const),
    baseUrls: checkOneOf("baseUrls", given.baseUrls ?? "peer-or-loopback", ["peer-or-loopback", "any"] as const),
    health: resolveHealth(given.health),
    limits: resolveLimits("limits", given.limits),
    router: router === undefined ? undefined : Object.freeze({ ...router }),
    server: server === undefined ? undefined : Object.freeze({ ...server }),
    link: resolveLink(given.link),
    supervision: resolveSupervision(given.supervision),
    ingress: resolveIngress("ingress", given.ingress ?? []),
    capabilities: resolveCapabilities(given.capabilities),
    grants: resolveGrants(given.grants),
    authorize: checkFunction("authorize", given.authorize),
    callerRate: checkRate("callerRate", given.callerRate),
    stopBudgetMs: checkNumber("stopBudgetMs", given.stopBudgetMs ?? 10_000, 0),
    stateDir: given.stateDir === undefined ? undefined : checkPath("stateDir", given.stateDir),
    clock: checkClock("clock", given.clock ?? systemClock),
  });
}

function resolveCapabilities(given: readonly CapabilityOffer[] = []): readonly CheckedOffer[] {
  if (!Array.isArray(given)) throw invalid("capabilities", "must be an array");
  return Object.freeze(given.map((one, index) => checkOffer(`capabilities[${index}]`, one)));
}
