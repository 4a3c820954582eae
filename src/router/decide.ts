import type { Registration, RuntimeId } from "../model/catalog.js";
import type { Principal } from "../model/principal.js";
import type { ConnectCode } from "./connect-code.js";
import type { BadPath, RouteTarget } from "./path.js";
import { type CallFailure, failureOf } from "./protocol-error.js";
import type { RouteLookup, RouteProvider, RouterView } from "./router-view.js";
import { type UpstreamPath, upstreamPath } from "./upstream-path.js";

/** Who calls, or why the caller's identity is not accepted. */
export type Caller = Principal | { readonly refused: string };

/** A call that goes on to a provider. */
export interface Forward {
  readonly kind: "forward";
  readonly caller: Principal;
  readonly provider: RouteProvider;
  readonly registration: Registration;
  /** Path and query on the provider. */
  readonly upstreamPath: string;
  /** Path on the provider, without query. */
  readonly method: string;
  readonly serviceType: string;
  /** Whether the caller named the provider, so that no other may take its place. */
  readonly pinned: boolean;
}

/** A call that the host answers itself. */
export interface Refuse extends CallFailure {
  readonly kind: "refuse";
  /** The provider that the call was for, if it was found. */
  readonly provider: RouteProvider | undefined;
  /** Whether all that is wrong is that the provider has no room now, so that the call may wait for it. */
  readonly busy?: boolean;
}

/** What happens to a call. */
export type Decision = Forward | Refuse;

/** Which providers are known to have no room, so that a call for any of them goes to another one. */
export interface FullProviders {
  /** The full ones of those that offer `type`; undefined if there are none. */
  of(type: string): ReadonlySet<RuntimeId> | undefined;
  /** `provider` was found full by a call of `type`. */
  note(type: string, provider: RouteProvider): void;
}

/** What the decision depends on beside the call and the view. */
export interface DecideOptions {
  /** @default nobody keeps a list: a call for any provider takes the first that is chosen */
  readonly full?: FullProviders;
  readonly maxBodyBytes: number;
  readonly maxInFlightPerProvider: number;
  readonly retryAfterMs: number;
  /** What goes in front of paths on a provider, without a trailing slash. Nothing over a link, where `upgrade`s never go. */
  basePathOf(provider: RouteProvider, upgrade: boolean): string;
}

/** One call to decide on. */
export interface DecideRequest {
  readonly target: RouteTarget | BadPath;
  readonly caller: Caller;
  /** `Content-Length`, if the head has one. */
  readonly contentLength: number | undefined;
  /** Those that must not be chosen where the choice is the host's. @default nobody */
  readonly avoided?: ReadonlySet<RuntimeId> | undefined;
  /** Set when a provider could not be reached: those that are not to be chosen again. The rate is not taken twice. */
  readonly retry?: { readonly exclude: ReadonlySet<RuntimeId> | undefined };
  /** Whether the call was decided on before, and waited: its rate is not taken twice. @default false */
  readonly waited?: boolean;
  /** Whether the call is to become a connection of its own, such as WebSocket. @default false */
  readonly upgrade?: boolean;
}

const refuse = (
  code: ConnectCode,
  httpStatus: number,
  reason: string,
  provider?: RouteProvider,
  retryAfterMs?: number,
): Refuse => ({ kind: "refuse", code, httpStatus, reason, retryAfterMs, provider });

/** Why a caller may not route at all; undefined if its kind may. */
function identityFault(caller: Caller): string | undefined {
  if ("refused" in caller) return caller.refused;
  switch (caller.kind) {
    case "plugin":
    case "host":
    case "ingress":
      return undefined;
    case "anonymous":
      return "the call carries no identity; send X-Plugin-Runtime-ID and Authorization: Bearer <runtime token>";
    case "admin":
      return "an operator's token is for the admin service; calls to plugins need a plugin's identity";
    case "launch":
    case "join":
      return "the caller has no identity yet; it gets one by a handshake";
  }
}

/** Why a provider cannot take a call, however much room it has; undefined if it can. */
function unavailability({ plugin, lastResort }: RouteProvider, pinned: boolean): string | undefined {
  const { phase, health } = plugin;
  const because = (reason: string): string => (reason === "" ? "" : `: ${reason}`);
  if (phase.kind === "draining" || (phase.kind === "leaving" && !pinned)) {
    return `${plugin.runtimeId} is ${phase.kind}${because(phase.reason)}`;
  }
  if (lastResort !== true && (health.state === "unready" || health.state === "unhealthy")) {
    return `${plugin.runtimeId} is ${health.state}${because(health.reason)}`;
  }
  if (plugin.address.kind === "external") return `${plugin.runtimeId} has no base_url, so no call can reach it`;
  if (plugin.address.kind === "link" && !plugin.address.isOpen) {
    return `${plugin.runtimeId} is reached over its link, which is broken until it has dialled again`;
  }
  return undefined;
}

/** Finds who is asked for; of those that will do, one with room if there is one. */
function lookUp(
  { caller, retry, avoided }: DecideRequest,
  target: RouteTarget,
  view: RouterView,
  options: DecideOptions,
) {
  const { serviceType, runtimeId } = target;
  if (runtimeId !== undefined) return view.pinned(serviceType, runtimeId);
  const exclude = avoided === undefined || avoided.size === 0 ? retry?.exclude : union(retry?.exclude, avoided);
  const { full, maxInFlightPerProvider } = options;
  const principal = caller as Principal;
  for (;;) {
    const known = full?.of(serviceType);
    const chosen = view.choose(serviceType, principal, union(exclude, known));
    if (chosen.kind !== "found") return known === undefined ? chosen : view.choose(serviceType, principal, exclude);
    const { plugin } = chosen.provider;
    const hasRoom = fullness(chosen.provider, maxInFlightPerProvider) === undefined;
    if (hasRoom || full === undefined || known?.has(plugin.runtimeId)) return chosen;
    full.note(serviceType, chosen.provider);
  }
}

/** Finds who can take an upgrade. Links carry none: who is reached over one alone is found if there is nobody else. */
function lookUpForUpgrade(request: DecideRequest, target: RouteTarget, view: RouterView, options: DecideOptions) {
  let exclude = request.retry?.exclude;
  let overLink: RouteLookup | undefined;
  for (;;) {
    const chosen = lookUp({ ...request, retry: { exclude } }, target, view, options);
    if (chosen.kind !== "found") return overLink ?? chosen;
    const { runtimeId, address } = chosen.provider.plugin;
    if (address.kind !== "link" || target.runtimeId !== undefined || exclude?.has(runtimeId) === true) return chosen;
    overLink ??= chosen;
    exclude = new Set([...(exclude ?? []), runtimeId]);
  }
}

/** Why a provider has no room for one more call; undefined if it has. */
function fullness({ plugin, inFlight, trial }: RouteProvider, maxInFlight: number): string | undefined {
  if (trial?.isTaken === true) return `${plugin.runtimeId} is on trial after failed calls, by one call at a time`;
  if (inFlight.count < maxInFlight) return undefined;
  return `${plugin.runtimeId} is working on ${inFlight.count} calls, as many as it may`;
}

function union(
  a: ReadonlySet<RuntimeId> | undefined,
  b: ReadonlySet<RuntimeId> | undefined,
): ReadonlySet<RuntimeId> | undefined {
  return a === undefined || b === undefined ? (a ?? b) : new Set([...a, ...b]);
}

/**
 * Decides on a call, in the order of the wire contract: path, identity, provider, permission, rate, availability, size.
 * Changes nothing but the caller's rate, what is known of full providers, and whose call is the trial of an ejected one.
 */
export function decide(request: DecideRequest, view: RouterView, options: DecideOptions): Decision {
  const { target, caller } = request;
  if (target.kind === "bad-path") return refuse("invalid_argument", 400, target.reason);
  const fault = identityFault(caller);
  if (fault !== undefined || "refused" in caller) return refuse("unauthenticated", 401, fault ?? "");

  const pinned = target.runtimeId !== undefined;
  const lookup: RouteLookup = (request.upgrade === true ? lookUpForUpgrade : lookUp)(request, target, view, options);
  if (lookup.kind === "not-found") return refuse("not_found", 404, lookup.message);

  const provider = lookup.kind === "found" ? lookup.provider : undefined;
  let where: UpstreamPath | undefined;
  if (provider !== undefined) {
    const joined = upstreamPath(
      provider.registrations,
      options.basePathOf(provider, request.upgrade === true),
      target.rest,
    );
    if (typeof joined === "string") return refuse("invalid_argument", 400, joined, provider);
    where = joined;
  }
  const undeclared = view.undeclared(caller, target.serviceType, where);
  if (undeclared !== undefined) {
    return { ...refuse("permission_denied", 403, undeclared, provider), errorCode: "NOT_DECLARED" };
  }
  if (provider !== undefined && where !== undefined) {
    const forbidden = view.refusal(caller, provider, target.serviceType, where.path);
    if (forbidden !== undefined) return refuse("permission_denied", 403, forbidden, provider);
  }
  const waitMs = request.retry === undefined && request.waited !== true ? view.takeRate(caller) : 0;
  if (waitMs > 0) return refuse("resource_exhausted", 429, tooManyCalls, provider, waitMs);
  if (lookup.kind === "unavailable") {
    if (isForAvoidance(request, target, view)) return onlyAvoided(target.serviceType, lookup.retryAfterMs);
    return refuse("unavailable", 503, lookup.message, undefined, lookup.retryAfterMs);
  }
  if (provider === undefined || where === undefined) return refuse("not_found", 404, "no provider");
  const unavailable = unavailability(provider, pinned);
  if (unavailable !== undefined) {
    return refuse("unavailable", 503, unavailable, provider, provider.retryAfterMs ?? options.retryAfterMs);
  }
  if (request.upgrade === true && provider.plugin.address.kind === "link") {
    return refuse("unimplemented", 501, `${provider.plugin.runtimeId} ${noUpgrades}`, provider);
  }
  // A call that is tried again may be counted there already.
  const full = fullness(provider, options.maxInFlightPerProvider + (request.retry === undefined ? 0 : 1));
  if (full !== undefined) {
    options.full?.note(target.serviceType, provider);
    const others = pinned || options.full === undefined ? "" : `, as every provider of ${target.serviceType}`;
    return { ...refuse("unavailable", 503, full + others, provider, options.retryAfterMs), busy: true };
  }
  if (request.contentLength !== undefined && request.contentLength > options.maxBodyBytes) {
    return refuse("resource_exhausted", 413, bodyTooLong(options.maxBodyBytes), provider);
  }
  provider.trial?.take(provider.inFlight);
  return {
    kind: "forward",
    caller,
    provider,
    registration: where.registration,
    upstreamPath: where.path + target.query,
    method: where.path,
    serviceType: target.serviceType,
    pinned,
  };
}

/** Whether the caller itself is why nobody was found: somebody can take the call whom it avoids. */
function isForAvoidance({ caller, avoided, retry }: DecideRequest, target: RouteTarget, view: RouterView): boolean {
  if (avoided === undefined || avoided.size === 0 || target.runtimeId !== undefined) return false;
  // Of a search for yet another provider nobody is told.
  if (retry?.exclude !== undefined) return false;
  return view.choose(target.serviceType, caller as Principal, undefined).kind === "found";
}

const onlyAvoided = (serviceType: string, retryAfterMs: number): Refuse => ({
  ...refuse(
    "unavailable",
    503,
    `the only providers of ${serviceType} that can take calls now are those that the caller avoids`,
    undefined,
    retryAfterMs,
  ),
  errorCode: "PROVIDERS_AVOIDED",
});

const noUpgrades = "is reached over its link only, which carries no upgrades such as WebSocket; give it a base_url";

const tooManyCalls = "the caller makes more calls than it may";

/**
 * Why a call that the host answers itself does not pass; undefined if it does. By the same rules: rate, size.
 *
 * @param waitMs until the caller's rate lets it pass
 * @param contentLength as announced; 0 if it was not
 */
export function admissionFailure(waitMs: number, contentLength: number, maxBodyBytes: number): CallFailure | undefined {
  if (waitMs > 0) return failureOf("resource_exhausted", 429, tooManyCalls, waitMs);
  return contentLength > maxBodyBytes ? failureOf("resource_exhausted", 413, bodyTooLong(maxBodyBytes)) : undefined;
}

/** Why a request with too long a body is refused, before or while it passes. */
export const bodyTooLong = (maxBodyBytes: number): string => `the request's body is longer than ${maxBodyBytes} bytes`;
