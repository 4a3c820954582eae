import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { ConnectionInfo, FieldList, RequestHead, ServerExchange } from "../http/exchange.js";
import { type Clock, systemClock } from "../internal/clock.js";
import { type InProcessRoute, ticketField } from "../link/in-process-route.js";
import type { LinkStream, LinkStreamHandler } from "../link/link-stream.js";
import type { PluginAddress } from "../model/address.js";
import type { CallEvent } from "../model/call-event.js";
import type { RuntimeId } from "../model/catalog.js";
import type { Principal } from "../model/principal.js";
import { avoidField } from "../model/provider-choice.js";
import { AccountedExchange } from "./accounted-exchange.js";
import { mayAvoid } from "./avoided.js";
import { CallAccount } from "./call-account.js";
import {
  admissionFailure,
  type Caller,
  type DecideOptions,
  type DecideRequest,
  decide,
  type Forward,
  type Refuse,
} from "./decide.js";
import { DecidedCalls, type KeptDecision } from "./decided-calls.js";
import { ForwardedCall } from "./forward.js";
import type { ForwardContext } from "./forward-context.js";
import { InProcessLinks } from "./in-process-links.js";
import { type InProcessRouteParts, RoutedInProcess } from "./in-process-routes.js";
import { type LinkCaller, LinkCalls } from "./link-calls.js";
import { type RouterOptions, resolveRouterOptions } from "./options.js";
import { type BadPath, isServicePath, parseTarget, type RouteTarget, targetOf } from "./path.js";
import { detectProtocol } from "./protocol.js";
import type { CallFailure } from "./protocol-error.js";
import { ProviderConnections } from "./provider-connections.js";
import { noLinks, type ProviderLinks } from "./provider-links.js";
import { ProviderQueue } from "./provider-queue.js";
import { QueuedCall } from "./queued-call.js";
import { refuseCall } from "./refuse-call.js";
import type { RouterView, TrafficObserver } from "./router-view.js";
import { TimeoutQueue } from "./timeout-queue.js";
import { TraceIds } from "./trace-context.js";
import { forwardUpgrade } from "./upgrade.js";
import { upgradeHead } from "./upgrade-head.js";
import type { UpstreamTls } from "./upstream-tls.js";

/** What a router needs of the rest of the host. */
export interface ServiceRouterParts {
  readonly view: RouterView;
  readonly traffic: TrafficObserver;
  /** @default no plugin has one */
  readonly links?: ProviderLinks;
  readonly options?: RouterOptions;
  readonly clock?: Clock;
  /** Called once for each call when it is over. Must not throw. @default nobody is told */
  readonly onCall?: (event: CallEvent) => void;
  /** Whether `onCall` does anything now, so that it can be spared a call. @default true */
  readonly isHeard?: () => boolean;
}

/**
 * The data plane: takes calls whose caller is known, decides on each, and carries it to a provider and its answer back.
 * Bodies are never kept beyond what the streams on both sides hold.
 */
export class ServiceRouter {
  /** Towards providers over `https:` that have no certificates of their own. */
  readonly tls: UpstreamTls;
  readonly #context: ForwardContext;
  readonly #queue: ProviderQueue;
  readonly #decided = new DecidedCalls();
  readonly #inProcess: Pick<InProcessRouteParts, "context" | "queue" | "links" | "decided">;
  readonly #linkCalls: LinkCalls;

  /** @throws PluginHostError `INVALID_ARGUMENT` that names the option */
  constructor(parts: ServiceRouterParts) {
    const clock = parts.clock ?? systemClock;
    const options = resolveRouterOptions(parts.options);
    const connections = new ProviderConnections(clock, options);
    this.tls = options.tls;
    const links = parts.links ?? noLinks;
    this.#queue = new ProviderQueue({ ...options, clock });
    const isHeard = parts.isHeard ?? (() => parts.onCall !== undefined);
    const decideOptions: DecideOptions = {
      full: this.#queue.full,
      maxBodyBytes: options.maxBodyBytes,
      maxInFlightPerProvider: options.maxInFlightPerProvider,
      retryAfterMs: options.retryAfterMs,
      basePathOf: ({ plugin }, upgrade) =>
        !upgrade && links.sessionOf(plugin.runtimeId) !== undefined ? "" : connections.basePathOf(plugin),
    };
    this.#context = {
      view: parts.view,
      traffic: this.#observed(parts.traffic),
      clock,
      options,
      decideOptions,
      connections,
      links,
      headTimeouts: new TimeoutQueue(clock, options.headersTimeoutMs),
      idleStreams: Number.isFinite(options.idleStreamMs) ? new TimeoutQueue(clock, options.idleStreamMs) : undefined,
      traceIds: new TraceIds(),
      onCall: parts.onCall ?? (() => {}),
    };
    this.#linkCalls = new LinkCalls(this.#context, this.#queue, isHeard);
    const context = { forward: this.#context, isHeard };
    const inProcessLinks = new InProcessLinks(context, this.#queue);
    this.#inProcess = { context, queue: this.#queue, links: inProcessLinks, decided: this.#decided };
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
   * Takes account of a call that the host answers itself: takes it from its caller's rate, and tells of it when it is over.
   *
   * @param restAndQuery what stands for the exchange's target, and `fields` for its fields
   * @returns the exchange to answer; undefined if the call was refused
   */
  admit(
    exchange: ServerExchange,
    caller: Principal,
    serviceType: string,
    restAndQuery: string,
    fields: FieldList,
  ): AccountedExchange | undefined {
    const context = this.#context;
    const account = new CallAccount(exchange.head, caller, detectProtocol(exchange.head), context.clock);
    account.serviceType = serviceType;
    account.method = restAndQuery.split("?", 1)[0] ?? "";
    const length = Number(exchange.head.header("content-length") ?? 0);
    const failure = admissionFailure(context.view.takeRate(caller), length, context.options.maxBodyBytes);
    if (failure !== undefined) {
      refuseCall(context, exchange, account, { kind: "refuse", provider: undefined, ...failure });
      return undefined;
    }
    // What was announced counts for a body that nobody reads.
    account.requestBytes = Number.isSafeInteger(length) ? length : 0;
    const request = { target: restAndQuery, fields, account, maxBodyBytes: context.options.maxBodyBytes };
    return new AccountedExchange(exchange, request, () => context.onCall(account.event()));
  }

  /**
   * The way of a caller in this process to the providers of a type. Calls to a provider in the same process go straight to
   * its code, and to one on a link straight to that, by the same rules as those that come as requests.
   */
  inProcess(route: Pick<InProcessRouteParts, "caller" | "serviceType" | "idOrAny" | "pathForm">): InProcessRoute {
    return new RoutedInProcess({ ...this.#inProcess, ...route });
  }

  /** Takes a call of messages to `/services/…` that came over a link, by the same rules, and answers it in every case. */
  takeLinkCall(stream: LinkStream, by: LinkCaller): LinkStreamHandler {
    return this.#linkCalls.take(stream, by);
  }

  /** Answers a call that goes nowhere, and tells of it. */
  refuse(exchange: ServerExchange, caller: Caller, serviceType: string, failure: CallFailure): void {
    const context = this.#context;
    const account = new CallAccount(exchange.head, caller, detectProtocol(exchange.head), context.clock);
    account.serviceType = serviceType;
    refuseCall(context, exchange, account, { kind: "refuse", provider: undefined, ...failure });
  }

  /**
   * Takes a request to upgrade, such as WebSocket, by the same rules. `target` is read from the request if it is not given,
   * see `targetOf`; `head` is the request's unless another stands for it. The promise never rejects and resolves when both connections are closed.
   */
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    early: Buffer,
    connection: ConnectionInfo,
    caller: Caller,
    target?: RouteTarget | BadPath,
    head: RequestHead = upgradeHead(request, connection),
  ): Promise<void> {
    return forwardUpgrade(this.#context, this.#queue, {
      head,
      request,
      socket,
      early,
      caller,
      target: target ?? parseTarget(head),
    });
  }

  /** What providers of these types are, or who they are, has changed: decides anew on the calls that wait for them. */
  providersChanged(types: ReadonlySet<string>): void {
    this.#queue.reconsider(types);
  }

  /** How many calls wait that this provider may take when it has room. */
  waitingFor(runtimeId: RuntimeId): number {
    return this.#queue.waitingFor(runtimeId);
  }

  /** To be called when `tls`, or that of a plugin's address, was replaced: nothing new goes over connections made with the old ones. */
  renewConnections(): void {
    this.#context.connections.renew();
  }

  /** Closes the connections to an address that is not used any more; calls on them come to their end. */
  closeConnections(address: PluginAddress): void {
    this.#context.connections.close(address);
  }

  /** Refuses calls that wait; closes idle connections to providers, and the others when their calls are over. Idempotent. */
  close(): void {
    this.#queue.close("the host is stopping");
    this.#context.connections.closeAll();
    this.#context.headTimeouts.close();
    this.#context.idleStreams?.close();
  }

  #handle(exchange: ServerExchange, caller: Caller, asked: RouteTarget | BadPath): void {
    const context = this.#context;
    const account = new CallAccount(exchange.head, caller, detectProtocol(exchange.head), context.clock);
    const length = exchange.head.header("content-length");
    const target = account.avoid(mayAvoid(caller) ? exchange.head.header(avoidField) : undefined) ?? asked;
    const { avoided } = account;
    const request = { target, caller, avoided, contentLength: length === undefined ? undefined : Number(length) };
    const kept = this.#keptFor(exchange);
    const decision = kept?.decision ?? decide(request, context.view, context.decideOptions);
    if (target.kind === "target") account.serviceType = target.serviceType;
    if (decision.kind === "refuse" || target.kind === "bad-path") {
      const refusal = decision as Refuse;
      if (refusal.busy === true) this.#wait(exchange, account, request, refusal);
      else refuseCall(context, exchange, account, refusal);
      return;
    }
    this.#forward(exchange, account, target, decision);
    kept?.release();
  }

  /** What was decided already on a call that was on its way within this process. */
  #keptFor({ head }: ServerExchange): KeptDecision | undefined {
    if (head.connection.transport !== "memory") return undefined;
    const ticket = head.header(ticketField);
    return ticket === undefined ? undefined : this.#decided.take(ticket);
  }

  /** An answer may end the trial of a provider that others wait for. */
  #observed(traffic: TrafficObserver): TrafficObserver {
    const queue = this.#queue;
    return {
      answered: (runtimeId) => {
        traffic.answered(runtimeId);
        if (queue.size > 0) queue.roomAt(runtimeId);
      },
      failed: (runtimeId, reason) => traffic.failed(runtimeId, reason),
      broke: (runtimeId, reason) => traffic.broke(runtimeId, reason),
      called: (caller, serviceType) => traffic.called(caller, serviceType),
    };
  }

  #wait(exchange: ServerExchange, account: CallAccount, request: DecideRequest, refusal: Refuse): void {
    const forward = (decision: Forward): void =>
      this.#forward(exchange, account, request.target as RouteTarget, decision);
    new QueuedCall({ context: this.#context, queue: this.#queue, exchange, account, request, forward }).join(refusal);
  }

  #forward(exchange: ServerExchange, account: CallAccount, target: RouteTarget, decision: Forward): void {
    const context = this.#context;
    if (decision.caller.kind === "plugin") context.traffic.called(decision.caller, decision.serviceType);
    new ForwardedCall(context, exchange, target, account, decision).begin();
  }
}
