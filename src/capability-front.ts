import { CapabilityBroker, type Grant } from "./capabilities/capability-broker.js";
import type { CapabilityTarget, CheckedOffer } from "./capabilities/capability-offer.js";
import { connectHandler } from "./http/connect-handler.js";
import type { RequestHead, ServerExchange } from "./http/exchange.js";
import { fetchHandler } from "./http/fetch-handler.js";
import { RewrittenExchange } from "./http/rewritten-exchange.js";
import { readCredentials } from "./identity/credentials.js";
import type { IdentityStore } from "./identity/identity-store.js";
import type { Clock } from "./internal/clock.js";
import { type Principal, principalId } from "./model/principal.js";
import type { GrantOptions } from "./options.js";
import type { ConnectCode } from "./router/connect-code.js";
import { type RouteTarget, targetOf } from "./router/path.js";
import { detectProtocol } from "./router/protocol.js";
import { sendError } from "./router/protocol-error.js";
import { isHostsOwn } from "./router/request-headers.js";
import type { ServiceRouter } from "./router/router.js";

/** Answers one call under a grant. Its exchange has the path behind the grant, and who calls among its fields. */
export type ServeGranted = (exchange: ServerExchange, caller: Principal) => Promise<void> | void;

const maxMessageBytes = 4 * 1024 * 1024;
const pathPattern = /^\/capabilities\/([^/?]+)\/([^/?]+)((?:\/[^?]*)?(?:\?.*)?)$/;
const noPrefix = { launchNonce: undefined, joinToken: undefined, target: "/" };

/** Whether a request is for a capability, by its path `/capabilities/…`. */
export const isCapabilityPath = (target: string): boolean =>
  target.startsWith("/capabilities") && /^(?:[/?]|$)/.test(target.slice("/capabilities".length));

/** A broker whose grants end with the identities of their owners. */
export const createBroker = (
  { ttlMs, maxPerPlugin: maxPerOwner }: Required<GrantOptions>,
  clock: Clock,
  identities: IdentityStore,
): CapabilityBroker<ServeGranted> =>
  new CapabilityBroker({
    clock,
    ttlMs,
    maxPerOwner,
    ownerOf: (id) => {
      const identity = identities.get(id);
      return identity && { kind: "plugin", runtimeId: identity.runtimeId, selfId: identity.selfId };
    },
  });

/** An offer that stands until it is withdrawn. */
export interface OfferedCapability extends Disposable {
  /** Takes the offer back and ends all grants for it; calls that have begun go on. Idempotent. */
  withdraw(): void;
}

/**
 * Adds an offer to those of the broker.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` if this version is offered already; whatever the offer's `routes` throws
 */
export function offerCapability(
  broker: CapabilityBroker<ServeGranted>,
  router: ServiceRouter,
  offer: CheckedOffer,
): OfferedCapability {
  const withdraw = broker.offer(offer, serveCapability(offer.target, router));
  return { withdraw, [Symbol.dispose]: withdraw };
}

function serveCapability(target: CapabilityTarget, router: ServiceRouter): ServeGranted {
  switch (target.kind) {
    case "service": {
      const { serviceType } = target;
      return (exchange, caller) => {
        // Without an identity of its own the grant is what lets the caller in, as an ingress would.
        const known: Principal = caller.kind === "plugin" ? caller : { kind: "ingress", user: undefined };
        router.forwardTo(exchange, known, serviceType, "any", exchange.head.target.slice(1));
      };
    }
    case "fetch":
      return fetchHandler(target.fetch);
    case "routes": {
      const procedures = connectHandler({ routes: target.routes, readMaxBytes: maxMessageBytes });
      return async (exchange) => {
        const call = procedures.handle(exchange);
        if (call === false) return refuse(exchange, "unimplemented", 404, "the capability has no such procedure");
        await call;
      };
    }
  }
}

/** Takes the calls under `/capabilities/<type>/<grant id>/<rest>`, and answers each in every case. */
export async function handleCapabilityCall(
  broker: CapabilityBroker<ServeGranted>,
  exchange: ServerExchange,
): Promise<void> {
  const { head } = exchange;
  const [, type = "", grantId = "", restAndQuery = ""] = pathPattern.exec(head.target) ?? [];
  if (grantId === "") {
    return refuse(exchange, "unimplemented", 404, "the path must be /capabilities/<type>/<grant id>/<rest>");
  }
  const target = targetOf(type, "any", restAndQuery);
  if (target.kind === "bad-path") return refuse(exchange, "invalid_argument", 400, target.reason);
  const { bearer } = readCredentials(head, noPrefix);
  if (bearer === undefined) {
    return refuse(exchange, "unauthenticated", 401, "send the grant's token as Authorization: Bearer <token>");
  }
  const grant = broker.verify(grantId, bearer);
  if (grant === undefined) {
    const reason = "the grant or its token is unknown, expired or revoked; request the capability again";
    return refuse(exchange, "unauthenticated", 401, reason);
  }
  if (grant.offer.type !== type) {
    return refuse(exchange, "permission_denied", 403, `the grant is for the capability ${grant.offer.type}`);
  }
  await grant.served(grantedExchange(exchange, grant, target), grant.caller);
}

/** The exchange as the offer sees it: neither the grant's secret nor what only the host may say comes from the caller. */
function grantedExchange(exchange: ServerExchange, grant: Grant<unknown>, { rest, query }: RouteTarget) {
  const fields = [...callersFields(exchange.head), "x-plugin-caller-id", principalId(grant.caller)];
  if (grant.caller.kind === "plugin") fields.push("x-plugin-caller-self-id", grant.caller.selfId);
  fields.push("x-plugin-service", grant.offer.type);
  const { remoteAddress } = exchange.head.connection;
  if (remoteAddress !== "") fields.push("x-forwarded-for", remoteAddress);
  return new RewrittenExchange(exchange, `/${rest}${query}`, fields);
}

function callersFields({ fields }: RequestHead): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] as string;
    if (name !== "authorization" && !isHostsOwn(name)) kept.push(name, fields[index + 1] as string);
  }
  return kept;
}

const refuse = (exchange: ServerExchange, code: ConnectCode, httpStatus: number, reason: string): void =>
  void sendError(exchange, detectProtocol(exchange.head), { code, httpStatus, reason, retryAfterMs: undefined });
