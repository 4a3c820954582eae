import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { CapabilityBroker, type Grant } from "./capabilities/capability-broker.js";
import type { CapabilityTarget, CheckedOffer } from "./capabilities/capability-offer.js";
import type { GrantOptions } from "./grant-options.js";
import { connectHandler } from "./http/connect-handler.js";
import type { ConnectionInfo, FieldList, RequestHead, ServerExchange } from "./http/exchange.js";
import { fetchHandler } from "./http/fetch-handler.js";
import { fieldValue } from "./http/field-list.js";
import { RewrittenExchange } from "./http/rewritten-exchange.js";
import { readCredentials } from "./identity/credentials.js";
import type { IdentityStore } from "./identity/identity-store.js";
import type { Clock } from "./internal/clock.js";
import { type Principal, principalId } from "./model/principal.js";
import { targetOf } from "./router/path.js";
import { detectProtocol } from "./router/protocol.js";
import { type CallFailure, failureOf, sendError } from "./router/protocol-error.js";
import { isHostsOwn } from "./router/request-headers.js";
import type { ServiceRouter } from "./router/router.js";

/** One call under a grant. */
export interface GrantedCall {
  readonly exchange: ServerExchange;
  readonly caller: Principal;
  /** The capability. */
  readonly type: string;
  /** Path and query behind the grant. */
  readonly path: string;
  /** The request's fields with who calls among them, and without the grant's secret. */
  readonly fields: FieldList;
}

/** Answers one call under a grant. */
export type ServeGranted = (call: GrantedCall) => Promise<void> | void;

const nobody: Principal = Object.freeze({ kind: "anonymous" });
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
      return (granted) => {
        const { path, caller } = granted;
        router.forwardTo(forwarded(granted), callerTowards(caller), serviceType, "any", path.slice(1));
      };
    }
    case "fetch": {
      const handler = fetchHandler(target.fetch);
      return (granted) => {
        const exchange = answered(granted, router);
        return exchange?.answeredBy(handler(exchange) as Promise<void>);
      };
    }
    case "routes": {
      const procedures = connectHandler({ routes: target.routes, readMaxBytes: maxMessageBytes });
      return async (granted) => {
        const exchange = answered(granted, router);
        if (exchange === undefined) return;
        const call = procedures.handle(exchange);
        if (call !== false) return exchange.answeredBy(call);
        sendError(
          exchange,
          detectProtocol(exchange.head),
          failureOf("unimplemented", 404, "the capability has no such procedure"),
        );
      };
    }
  }
}

/** The grant is what lets the caller in: one without an identity of its own as an ingress would. */
const callerTowards = (caller: Principal): Principal =>
  caller.kind === "plugin" ? { ...caller, byGrant: true } : { kind: "ingress", user: undefined };

/** The exchange for a provider, which the router takes account of. */
const forwarded = ({ exchange, path, fields }: GrantedCall): ServerExchange =>
  new RewrittenExchange(exchange, path, fields);

/** The exchange for the host's own code, counted as a call; undefined if the caller makes too many. */
const answered = ({ exchange, caller, type, path, fields }: GrantedCall, router: ServiceRouter) =>
  router.admit(exchange, caller, type, path, fields);

/** Takes the calls under `/capabilities/<type>/<grant id>/<rest>`, and answers each in every case. */
export async function handleCapabilityCall(
  broker: CapabilityBroker<ServeGranted>,
  router: ServiceRouter,
  exchange: ServerExchange,
): Promise<void> {
  const { head } = exchange;
  const found = findGrant(broker, head);
  if (found.kind === "refused") return router.refuse(exchange, nobody, found.type, found.failure);
  const { grant, path } = found;
  const { type } = grant.offer;
  await grant.served({ exchange, caller: grant.caller, type, path, fields: grantedFields(head, grant) });
}

/**
 * Takes a request to upgrade under a grant: it goes to a provider if the capability is a service type. Resolves when the
 * connection is closed; with a refusal if it goes nowhere, the connection is the caller's then.
 */
export async function handleCapabilityUpgrade(
  broker: CapabilityBroker<ServeGranted>,
  router: ServiceRouter,
  head: RequestHead,
  ...[request, socket, early, connection]: Upgrade
): Promise<CallFailure | undefined> {
  const found = findGrant(broker, head);
  if (found.kind === "refused") return found.failure;
  const { grant, path } = found;
  const { target } = grant.offer;
  // A fetch function and Connect procedures answer requests; neither has a way to take over a connection.
  if (target.kind !== "service") return failureOf("unimplemented", 501, "the capability takes no upgrades");
  const fields = grantedFields(head, grant);
  const granted = { ...head, target: path, fields, header: (name: string) => fieldValue(fields, name) };
  const to = targetOf(target.serviceType, "any", path.slice(1));
  await router.handleUpgrade(request, socket, early, connection, callerTowards(grant.caller), to, granted);
  return undefined;
}

type Upgrade = [request: IncomingMessage, socket: Duplex, early: Buffer, connection: ConnectionInfo];

type Found =
  | { readonly kind: "found"; readonly grant: Grant<ServeGranted>; readonly path: string }
  | { readonly kind: "refused"; readonly type: string; readonly failure: CallFailure };

/** Finds the grant that a request names, if it may use it. */
function findGrant(broker: CapabilityBroker<ServeGranted>, head: RequestHead): Found {
  const [, type = "", grantId = "", restAndQuery = ""] = pathPattern.exec(head.target) ?? [];
  const refused = (...failure: Parameters<typeof failureOf>): Found => ({
    kind: "refused",
    type,
    failure: failureOf(...failure),
  });
  if (grantId === "") {
    return refused("unimplemented", 404, "the path must be /capabilities/<type>/<grant id>/<rest>");
  }
  const target = targetOf(type, "any", restAndQuery);
  if (target.kind === "bad-path") return refused("invalid_argument", 400, target.reason);
  const { bearer } = readCredentials(head, noPrefix);
  if (bearer === undefined) {
    return refused("unauthenticated", 401, "send the grant's token as Authorization: Bearer <token>");
  }
  const grant = broker.verify(grantId, bearer);
  if (grant === undefined) {
    const reason = "the grant or its token is unknown, expired or revoked; request the capability again";
    return refused("unauthenticated", 401, reason);
  }
  if (grant.offer.type !== type) {
    return refused("permission_denied", 403, `the grant is for the capability ${grant.offer.type}`);
  }
  return { kind: "found", grant, path: `/${target.rest}${target.query}` };
}

/** The fields as the offer sees them: neither the grant's secret nor what only the host may say comes from the caller. */
function grantedFields(head: RequestHead, grant: Grant<unknown>): string[] {
  const fields = [...callersFields(head), "x-plugin-caller-id", principalId(grant.caller)];
  if (grant.caller.kind === "plugin") fields.push("x-plugin-caller-self-id", grant.caller.selfId);
  fields.push("x-plugin-service", grant.offer.type);
  const { remoteAddress } = head.connection;
  if (remoteAddress !== "") fields.push("x-forwarded-for", remoteAddress);
  return fields;
}

function callersFields({ fields }: RequestHead): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] as string;
    if (name !== "authorization" && !isHostsOwn(name)) kept.push(name, fields[index + 1] as string);
  }
  return kept;
}
