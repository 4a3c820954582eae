import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { ConnectionInfo, RequestHead, ServerExchange } from "../http/exchange.js";
import { type Clock, systemClock } from "../internal/clock.js";
import type { PluginAddress } from "../model/address.js";
import type { CallEvent } from "../model/call-event.js";
import { CallAccount } from "./call-account.js";
import { type Caller, type DecideOptions, decide, type Refuse } from "./decide.js";
import { ForwardedCall } from "./forward.js";
import type { ForwardContext } from "./forward-context.js";
import { type RouterOptions, resolveRouterOptions } from "./options.js";
import { type BadPath, isServicePath, parseTarget, type RouteTarget, targetOf } from "./path.js";
import { detectProtocol } from "./protocol.js";
import { sendError } from "./protocol-error.js";
import { ProviderConnections } from "./provider-connections.js";
import type { RouterView, TrafficObserver } from "./router-view.js";
import { TimeoutQueue } from "./timeout-queue.js";
import { TraceIds } from "./trace-context.js";
import { forwardUpgrade, upgradeHead } from "./upgrade.js";

/** What a router needs of the rest of the host. */
export interface ServiceRouterParts {
  readonly view: RouterView;
  readonly traffic: TrafficObserver;
  readonly options?: RouterOptions;
  readonly clock?: Clock;
  /** Called once for each call when it is over. Must not throw. @default nobody is told */
  readonly onCall?: (event: CallEvent) => void;
}

/**
 * The data plane: takes calls whose caller is known, decides on each, and carries it to a provider and its answer back.
 * Bodies are never kept beyond what the streams on both sides hold.
 */
export class ServiceRouter {
  readonly #context: ForwardContext;

  /** @throws PluginHostError `INVALID_ARGUMENT` that names the option */
  constructor(parts: ServiceRouterParts) {
    const clock = parts.clock ?? systemClock;
    const options = resolveRouterOptions(parts.options);
    const connections = new ProviderConnections(clock, options);
    const decideOptions: DecideOptions = {
      maxBodyBytes: options.maxBodyBytes,
      maxInFlightPerProvider: options.maxInFlightPerProvider,
      retryAfterMs: options.retryAfterMs,
      basePathOf: (provider) => connections.basePathOf(provider.plugin),
    };
    this.#context = {
      view: parts.view,
      traffic: parts.traffic,
      clock,
      options,
      decideOptions,
      connections,
      headTimeouts: new TimeoutQueue(clock, options.headersTimeoutMs),
      traceIds: new TraceIds(),
      onCall: parts.onCall ?? (() => {}),
    };
  }

  /** Whether a request is for the router: by a path `/services/…`, or by the header `X-Plugin-Target`. */
  static accepts(head: Pick<RequestHead, "target" | "header">): boolean {
    return isServicePath(head.target) || head.header("x-plugin-target") !== undefined;
  }

  /** Takes a call to the provider that its path or `X-Plugin-Target` names, and answers it in every case. */
  handle(exchange: ServerExchange, caller: Caller): void {
    this.#handle(exchange, caller, parseTarget(exchange.head));
  }

  /**
   * Takes a call to a provider that the host chose, for services that are exposed under other paths.
   *
   * @param idOrAny a runtime id, or `any`
   * @param restAndQuery what follows the endpoint path, as the caller escaped it
   */
  forwardTo(
    exchange: ServerExchange,
    caller: Caller,
    serviceType: string,
    idOrAny: string,
    restAndQuery: string,
  ): void {
    this.#handle(exchange, caller, targetOf(serviceType, idOrAny, restAndQuery));
  }

  /**
   * Takes a request to upgrade, such as WebSocket, by the same rules. `target` is read from the request if it is not given;
   * see `targetOf`. The promise never rejects and resolves when both connections are closed.
   */
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    early: Buffer,
    connection: ConnectionInfo,
    caller: Caller,
    target?: RouteTarget | BadPath,
  ): Promise<void> {
    const head = upgradeHead(request, connection);
    return forwardUpgrade(this.#context, { request, head, socket, early, caller, target: target ?? parseTarget(head) });
  }

  /** Closes the connections to an address that is not used any more; calls on them come to their end. */
  closeConnections(address: PluginAddress): void {
    this.#context.connections.close(address);
  }

  /** Closes idle connections to providers, and the others when their calls are over. Idempotent. */
  close(): void {
    this.#context.connections.closeAll();
    this.#context.headTimeouts.close();
  }

  #handle(exchange: ServerExchange, caller: Caller, target: RouteTarget | BadPath): void {
    const context = this.#context;
    const account = new CallAccount(exchange.head, caller, detectProtocol(exchange.head), context.clock);
    const length = exchange.head.header("content-length");
    const decision = decide(
      { target, caller, contentLength: length === undefined ? undefined : Number(length) },
      context.view,
      context.decideOptions,
    );
    if (target.kind === "target") account.serviceType = target.serviceType;
    if (decision.kind === "refuse" || target.kind === "bad-path") {
      refuseCall(context, exchange, account, decision as Refuse);
      return;
    }
    if (decision.caller.kind === "plugin") context.traffic.called(decision.caller, decision.serviceType);
    new ForwardedCall(context, exchange, target, account, decision).begin();
  }
}

function refuseCall(context: ForwardContext, exchange: ServerExchange, account: CallAccount, refusal: Refuse): void {
  account.provider = refusal.provider?.plugin;
  account.failed(refusal, "refused");
  exchange.onEnd(() => context.onCall(account.event()));
  if (exchange.ended === undefined) account.status = sendError(exchange, account.protocol, refusal);
}
