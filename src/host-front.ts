import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { ConnectHandler } from "./http/connect-handler.js";
import type { ConnectionInfo, RequestHead, ServerExchange } from "./http/exchange.js";
import type { Authentication } from "./identity/authenticate.js";
import { type Credentials, type PathPrefix, readCredentials, takePrefix } from "./identity/credentials.js";
import { originRefusal } from "./identity/origin-guard.js";
import type { Principal } from "./model/principal.js";
import type { IngressOptions } from "./options.js";
import type { ConnectCode } from "./router/connect-code.js";
import { detectProtocol } from "./router/protocol.js";
import { sendError } from "./router/protocol-error.js";
import { ServiceRouter } from "./router/router.js";

/** What the front hands requests to. */
export interface HostFrontParts {
  readonly router: ServiceRouter;
  /** The host's own procedures. */
  readonly procedures: ConnectHandler;
  readonly authenticate: (credentials: Credentials) => Authentication;
  readonly ingress: readonly IngressOptions[];
  /** `host:port` of the public URL in lower case. */
  readonly publicAuthority: string | undefined;
  /** Whether a connection can only come from this machine. */
  readonly isLoopback: (connection: ConnectionInfo) => boolean;
  /** Undefined while the host takes calls, otherwise why it does not. */
  readonly notReady: () => string | undefined;
}

const connectionAuthentication = (principal: Principal): Authentication => ({ kind: "principal", principal });

/**
 * Where every request to the host comes in: who is it, and which part of the host is it for. In this order: the host's own
 * procedures, its health pages, the router, exposed services.
 */
export class HostFront {
  readonly #parts: HostFrontParts;
  /** Kept so that the handler of the host's procedures finds who calls. */
  readonly #callers = new WeakMap<ServerExchange, Authentication>();

  constructor(parts: HostFrontParts) {
    this.#parts = parts;
  }

  /** Who sends this exchange, as `handle` found it. */
  callerOf(exchange: ServerExchange): Authentication {
    return this.#callers.get(exchange) ?? { kind: "refused", reason: "the request did not come through the front" };
  }

  /** Answers one request in every case. */
  async handle(exchange: ServerExchange): Promise<void> {
    const { head } = exchange;
    const { router, procedures } = this.#parts;
    const guard = this.#refusal(head);
    if (guard !== undefined) return refuse(exchange, "permission_denied", 403, guard);
    const prefix = takePrefix(head.target);
    if (prefix.target !== head.target) exchange.retarget(prefix.target);
    const authentication = this.#authenticate(head, prefix);
    if (procedures.paths.has(pathOf(head.target)) && !this.#isIngressAtRoot(head)) {
      this.#callers.set(exchange, authentication);
      await procedures.handle(exchange);
      return;
    }
    if (ServiceRouter.accepts(head)) return router.handle(exchange, toCaller(authentication));
    if (this.#answerHealthPage(exchange)) return;
    const ingress = this.#ingressFor(head.target);
    if (ingress !== undefined) return this.#enter(exchange, ingress);
    refuse(exchange, "unimplemented", 404, `nothing is served at ${pathOf(head.target)}`);
  }

  /** Takes a request to upgrade, such as WebSocket. */
  async handleUpgrade(req: IncomingMessage, socket: Duplex, early: Buffer, connection: ConnectionInfo): Promise<void> {
    const head = headOfUpgrade(req, connection);
    const guard = this.#refusal(head);
    if (guard !== undefined) return refuseUpgrade(socket, 403, guard);
    const prefix = takePrefix(head.target);
    req.url = prefix.target;
    const authentication = this.#authenticate(head, prefix);
    const routed = { ...head, target: prefix.target };
    if (!ServiceRouter.accepts(routed)) return refuseUpgrade(socket, 404, "nothing is served there");
    await this.#parts.router.handleUpgrade(req, socket, early, connection, toCaller(authentication));
  }

  #refusal(head: RequestHead): string | undefined {
    const { isLoopback, publicAuthority } = this.#parts;
    return originRefusal(head, { loopbackOnly: isLoopback(head.connection), publicAuthority });
  }

  #authenticate(head: RequestHead, prefix: PathPrefix): Authentication {
    const { principal } = head.connection;
    if (principal !== undefined) return connectionAuthentication(principal);
    return this.#parts.authenticate(readCredentials(head, prefix));
  }

  /** What is exposed at `/` answers the standard health service itself. */
  #isIngressAtRoot({ target }: RequestHead): boolean {
    return target.startsWith("/grpc.") && this.#parts.ingress.some(({ prefix }) => prefix === "");
  }

  #ingressFor(target: string): IngressOptions | undefined {
    const path = pathOf(target);
    return this.#parts.ingress.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`));
  }

  async #enter(exchange: ServerExchange, ingress: IngressOptions): Promise<void> {
    const { access, prefix, type } = ingress;
    let user: string | undefined;
    if (access !== "open") {
      user = await access(exchange.head);
      if (user === undefined) return refuse(exchange, "unauthenticated", 401, "this service needs you to sign in");
    }
    const rest = exchange.head.target.slice(prefix.length).replace(/^\/+/, "");
    this.#parts.router.forwardTo(exchange, { kind: "ingress", user }, type, "any", rest);
  }

  /** `/health` and `/healthz`: the program runs. `/readyz`: it takes calls. */
  #answerHealthPage(exchange: ServerExchange): boolean {
    const { method, target } = exchange.head;
    if (method !== "GET" && method !== "HEAD") return false;
    const path = pathOf(target);
    if (path !== "/health" && path !== "/healthz" && path !== "/readyz") return false;
    const problem = path === "/readyz" ? this.#parts.notReady() : undefined;
    exchange.respond(problem === undefined ? 200 : 503, ["content-type", "text/plain; charset=utf-8"]);
    exchange.response.write(`${problem ?? "ok"}\n`);
    exchange.end();
    return true;
  }
}

const toCaller = (authentication: Authentication) =>
  authentication.kind === "principal" ? authentication.principal : { refused: authentication.reason };

function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query === -1 ? target : target.slice(0, query);
}

function refuse(exchange: ServerExchange, code: ConnectCode, httpStatus: number, reason: string): void {
  sendError(exchange, detectProtocol(exchange.head), { code, httpStatus, reason, retryAfterMs: undefined });
}

function refuseUpgrade(socket: Duplex, status: number, reason: string): void {
  const body = `${reason}\n`;
  const fields = `content-type: text/plain; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}`;
  socket.end(`HTTP/1.1 ${status} Refused\r\n${fields}\r\nconnection: close\r\n\r\n${body}`);
}

function headOfUpgrade(req: IncomingMessage, connection: ConnectionInfo): RequestHead {
  return {
    method: req.method ?? "",
    target: req.url ?? "",
    authority: req.headers.host ?? "",
    httpVersion: "1.1",
    fields: [],
    header: (name) => {
      const value = req.headers[name];
      return Array.isArray(value) ? value.join(", ") : value;
    },
    connection,
  };
}
