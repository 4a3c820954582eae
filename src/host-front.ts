import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { isCapabilityPath } from "./capability-front.js";
import type { HostLinks } from "./host-links.js";
import type { ConnectHandler } from "./http/connect-handler.js";
import type { ConnectionInfo, ExchangeHandler, RequestHead, ServerExchange } from "./http/exchange.js";
import { endWithAnswer, plainLastAnswer } from "./http/last-answer.js";
import type { Refusal } from "./http/request-check.js";
import type { Authentication } from "./identity/authenticate.js";
import { type Credentials, type PathPrefix, readCredentials, takePrefix } from "./identity/credentials.js";
import { isAuthority, originRefusal } from "./identity/origin-guard.js";
import type { Ingress, IngressMatch } from "./ingress.js";
import type { Clock } from "./internal/clock.js";
import type { Readiness } from "./lifecycle/supervisor.js";
import { linkPath, requestedLink } from "./link/link-opening.js";
import { shown } from "./model/limits.js";
import type { Principal } from "./model/principal.js";
import type { ConnectCode } from "./router/connect-code.js";
import { targetOf } from "./router/path.js";
import { detectProtocol } from "./router/protocol.js";
import { type CallFailure, sendError } from "./router/protocol-error.js";
import { ServiceRouter } from "./router/router.js";
import { upgradeHead } from "./router/upgrade-head.js";

/** What the front hands requests to. */
export interface HostFrontParts {
  readonly clock: Clock;
  readonly router: ServiceRouter;
  /** The host's own procedures. */
  readonly procedures: ConnectHandler;
  /** Takes what comes under `/capabilities/`. */
  readonly handleCapability: ExchangeHandler;
  /** Takes upgrades under `/capabilities/`, or says why not; see `handleCapabilityUpgrade`. */
  readonly upgradeCapability: (
    head: RequestHead,
    request: IncomingMessage,
    socket: Duplex,
    early: Buffer,
    connection: ConnectionInfo,
  ) => Promise<CallFailure | undefined>;
  readonly authenticate: (credentials: Credentials) => Authentication;
  /** Undefined while no links are taken. */
  readonly links: HostLinks | undefined;
  readonly ingress: Ingress;
  /** `host:port` of the public URL in lower case. */
  readonly publicAuthority: string | undefined;
  /** Whether a connection can only come from this machine. */
  readonly isLoopback: (connection: ConnectionInfo) => boolean;
  /** Undefined while the host takes calls, otherwise why it does not. */
  readonly notReady: () => string | undefined;
  /** Whether plugins that the host needs are down. */
  readonly readiness: () => Readiness;
  /** Told of a request to upgrade that failed inside the host; the caller has got 500 then. */
  readonly onError: (error: unknown) => void;
}

const connectionAuthentication = (principal: Principal): Authentication => ({ kind: "principal", principal });

/**
 * Where every request to the host comes in: who is it, and which part of the host is it for. In this order:
 * capabilities, the host's own procedures, the router, the health pages, exposed services.
 */
export class HostFront {
  readonly #parts: HostFrontParts;
  /** Kept so that the handler of the host's procedures finds who calls. */
  readonly #callers = new WeakMap<ServerExchange, Authentication>();
  /** The last `Host` that was found to be good for a request without `Origin` to a host on loopback. */
  #goodAuthority: string | undefined;

  constructor(parts: HostFrontParts) {
    this.#parts = parts;
  }

  /** Who sends this exchange, as `handle` found it. */
  callerOf(exchange: ServerExchange): Authentication {
    const caller = this.#callers.get(exchange);
    if (caller === undefined) throw new Error("the request did not come through the front");
    return caller;
  }

  /** Answers one request in every case. */
  handle(exchange: ServerExchange): void | Promise<void> {
    const { head } = exchange;
    const { router, procedures } = this.#parts;
    const guard = this.#refusal(head);
    if (guard !== undefined) return refuse(exchange, ...originStatus(head), guard);
    const prefix = takePrefix(head.target);
    const target = withoutBroker(prefix.target);
    if (target !== head.target) exchange.retarget(target);
    if (isCapabilityPath(target)) return this.#parts.handleCapability(exchange);
    const authentication = this.#authenticate(head, prefix);
    if (this.#isProcedure(head)) {
      this.#callers.set(exchange, authentication);
      const handled = procedures.handle(exchange);
      return handled === false ? undefined : handled.then(ignoreResult);
    }
    if (ServiceRouter.accepts(head)) return router.handle(exchange, toCaller(authentication));
    if (this.#answerHealthPage(exchange)) return;
    const match = this.#parts.ingress.find(head.target);
    if (match !== undefined) return this.#enter(exchange, match);
    refuse(exchange, "unimplemented", 404, `nothing is served at ${shown(pathOf(head.target))}`);
  }

  /**
   * Takes a request to upgrade, such as WebSocket. Never rejects; resolves when the connection is closed or refused.
   *
   * @param refusal why it is refused whatever it asks for
   */
  async handleUpgrade(
    req: IncomingMessage,
    socket: Duplex,
    early: Buffer,
    connection: ConnectionInfo,
    refusal?: Refusal,
  ): Promise<void> {
    // A server of somebody else hands over sockets that nobody listens to: an error would end the process.
    socket.on("error", () => socket.destroy());
    if (refusal !== undefined) return this.#refuseUpgrade(socket, refusal.status, refusal.message);
    try {
      await this.#routeUpgrade(req, socket, early, connection);
    } catch (error) {
      this.#parts.onError(error);
      this.#refuseUpgrade(socket, 500, "internal error");
    }
  }

  async #routeUpgrade(req: IncomingMessage, socket: Duplex, early: Buffer, connection: ConnectionInfo): Promise<void> {
    const asSent = upgradeHead(req, connection);
    const guard = this.#refusal(asSent);
    if (guard !== undefined) return this.#refuseUpgrade(socket, originStatus(asSent)[1], guard);
    const prefix = takePrefix(asSent.target);
    req.url = prefix.target;
    const head = { ...asSent, target: prefix.target };
    const { router, links } = this.#parts;
    if (links !== undefined && pathOf(head.target) === linkPath && requestedLink(req) !== undefined) {
      return this.#openLink(links, req, socket, early, connection, this.#authenticate(head, prefix));
    }
    if (ServiceRouter.accepts(head)) {
      return router.handleUpgrade(req, socket, early, connection, toCaller(this.#authenticate(head, prefix)));
    }
    if (isCapabilityPath(head.target)) {
      const refusal = await this.#parts.upgradeCapability(head, req, socket, early, connection);
      return refusal && this.#refuseUpgrade(socket, refusal.httpStatus, refusal.reason);
    }
    const match = this.#isOwn(head) ? undefined : this.#parts.ingress.find(head.target);
    if (match === undefined) return this.#refuseUpgrade(socket, 404, "nothing is served there");
    const user = await this.#parts.ingress.admit(match.ingress, head);
    if ("code" in user) return this.#refuseUpgrade(socket, user.httpStatus, user.reason);
    if (this.#parts.notReady() !== undefined) return this.#refuseUpgrade(socket, 503, stoppingReason);
    const target = targetOf(match.ingress.type, "any", match.restAndQuery);
    await router.handleUpgrade(req, socket, early, connection, user, target);
  }

  #openLink(
    links: HostLinks,
    req: IncomingMessage,
    socket: Duplex,
    early: Buffer,
    connection: ConnectionInfo,
    authentication: Authentication,
  ): Promise<void> | void {
    if (authentication.kind === "refused") return this.#refuseUpgrade(socket, 401, authentication.reason);
    const { principal } = authentication;
    if (principal.kind !== "plugin") return this.#refuseUpgrade(socket, 401, noIdentity);
    if (this.#parts.notReady() !== undefined) return this.#refuseUpgrade(socket, 503, stoppingReason);
    if (links.isFull) return this.#refuseUpgrade(socket, 503, "the host has as many links as it takes");
    return links.accept(req, socket, early, connection, principal);
  }

  #refuseUpgrade(socket: Duplex, status: number, reason: string): void {
    endWithAnswer(socket, this.#parts.clock, plainLastAnswer(status, reason));
  }

  #refusal(head: RequestHead): string | undefined {
    const { isLoopback, publicAuthority } = this.#parts;
    const loopbackOnly = isLoopback(head.connection);
    const isPlain = head.header("origin") === undefined;
    // Nearly all requests name the same host, and whether it is a good one takes a while to find out.
    if (isPlain && loopbackOnly && head.authority === this.#goodAuthority) return undefined;
    const refusal = originRefusal(head, { loopbackOnly, publicAuthority });
    if (refusal === undefined && isPlain && loopbackOnly && isAuthority(head.authority)) {
      this.#goodAuthority = head.authority;
    }
    return refusal;
  }

  #authenticate(head: RequestHead, prefix: PathPrefix): Authentication {
    const { principal } = head.connection;
    if (principal !== undefined) return connectionAuthentication(principal);
    return this.#parts.authenticate(readCredentials(head, prefix));
  }

  /** Whether a request is for one of the host's own procedures. */
  #isProcedure(head: RequestHead): boolean {
    return this.#parts.procedures.paths.has(pathOf(head.target)) && !this.#isForProvider(head);
  }

  /** What is exposed at `/`, or named by `X-Plugin-Target`, answers the standard health and reflection services itself. */
  #isForProvider(head: RequestHead): boolean {
    if (!head.target.startsWith("/grpc.")) return false;
    return ServiceRouter.accepts(head) || this.#parts.ingress.hasRoot;
  }

  /** Whether the host itself answers under this path, so that no exposed service does. */
  #isOwn(head: RequestHead): boolean {
    const target = withoutBroker(head.target);
    return isCapabilityPath(target) || isHealthPage(pathOf(target)) || this.#isProcedure({ ...head, target });
  }

  async #enter(exchange: ServerExchange, { ingress, restAndQuery }: IngressMatch): Promise<void> {
    const user = await this.#parts.ingress.admit(ingress, exchange.head);
    if ("code" in user) return refuse(exchange, user.code, user.httpStatus, user.reason);
    // While it stops, providers go one after the other: their users must not be told that they were never there.
    if (this.#parts.notReady() !== undefined)
      return refuse(exchange, "unavailable", 503, stoppingReason, stoppingRetryMs);
    this.#parts.router.forwardTo(exchange, user, ingress.type, "any", restAndQuery);
  }

  /** `/health` and `/healthz`: the program runs. `/readyz`: it takes calls. */
  #answerHealthPage(exchange: ServerExchange): boolean {
    const { method, target } = exchange.head;
    if (method !== "GET" && method !== "HEAD") return false;
    const path = pathOf(target);
    if (!isHealthPage(path)) return false;
    const { isGood, text } = path === "/readyz" ? this.#readiness() : { isGood: true, text: "ok" };
    exchange.reply(isGood ? 200 : 503, ["content-type", "text/plain; charset=utf-8"], `${text}\n`);
    return true;
  }

  #readiness(): { readonly isGood: boolean; readonly text: string } {
    const problem = this.#parts.notReady();
    if (problem !== undefined) return { isGood: false, text: problem };
    const { state, reasons } = this.#parts.readiness();
    if (state === "ready") return { isGood: true, text: "ok" };
    const heading = state === "degraded" ? "degraded" : "not ready";
    return { isGood: state === "degraded", text: [heading, ...reasons].join("\n") };
  }
}

/** For promises of which only the failure matters. */
const ignoreResult = (): void => {};

const toCaller = (authentication: Authentication) =>
  authentication.kind === "principal" ? authentication.principal : { refused: authentication.reason };

const isHealthPage = (path: string): boolean => path === "/health" || path === "/healthz" || path === "/readyz";

/** The broker answers under the prefix `/broker`, too. */
const withoutBroker = (target: string): string =>
  target.startsWith("/broker/connectplugin.v1.CapabilityBroker/") ? target.slice("/broker".length) : target;

function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query === -1 ? target : target.slice(0, query);
}

const noIdentity = "a link needs a plugin's identity: X-Plugin-Runtime-ID and Authorization: Bearer <runtime token>";
const stoppingReason = "the host is stopping; try again when it is back";
const stoppingRetryMs = 1_000;

function refuse(
  exchange: ServerExchange,
  code: ConnectCode,
  httpStatus: number,
  reason: string,
  retryAfterMs?: number,
): void {
  sendError(exchange, detectProtocol(exchange.head), { code, httpStatus, reason, retryAfterMs });
}

/** How a request is refused whose `Host` or `Origin` is not accepted. */
const originStatus = ({ authority }: RequestHead): [ConnectCode, number] =>
  isAuthority(authority) ? ["permission_denied", 403] : ["invalid_argument", 400];
