import type { DescMethod } from "@bufbuild/protobuf";
import type { RequestHead } from "../http/exchange.js";
import { deferred } from "../internal/deferred.js";
import type { DecidedCall, InProcessRequest, InProcessRoute, WaitingInProcessCall } from "../link/in-process-route.js";
import type { Registration } from "../model/catalog.js";
import type { InProcessMethod } from "../model/in-process-services.js";
import { mayAvoid } from "./avoided.js";
import { CallAccount } from "./call-account.js";
import { type Caller, type DecideRequest, decide, type Forward, type Refuse } from "./decide.js";
import type { DecidedCalls } from "./decided-calls.js";
import { InProcessCall, type InProcessContext, tellOf } from "./in-process-call.js";
import type { InProcessLinks } from "./in-process-links.js";
import { InProcessWait } from "./in-process-wait.js";
import { type BadPath, type RouteTarget, targetOf } from "./path.js";
import type { ProviderQueue } from "./provider-queue.js";

/** What routes within the host's process are made of. */
export interface InProcessRouteParts {
  readonly context: InProcessContext;
  readonly queue: ProviderQueue;
  readonly links: InProcessLinks;
  /** Where decisions on calls wait that have to go over a connection. */
  readonly decided: DecidedCalls;
  /** Who calls, checked anew at each call. */
  readonly caller: () => Caller;
  readonly serviceType: string;
  /** A runtime id, or `any`. */
  readonly idOrAny: string;
  /** Whether paths are `/Method`, or `/pkg.Service/Method` for services that stand beside others under the type. */
  readonly pathForm: "short" | "full";
}

/** What is known of a method from the call before. */
interface KnownMethod {
  readonly target: RouteTarget | BadPath;
  /** As in an HTTP request to the host. */
  readonly path: string;
  registration: Registration | undefined;
  method: InProcessMethod | undefined;
}

// The account asks for nothing else.
const head = { httpVersion: "1.1", header: () => undefined } as unknown as RequestHead;

/** The way of one caller to the providers of one type: each call is decided on by the router's own rules. */
export class RoutedInProcess implements InProcessRoute {
  readonly #parts: InProcessRouteParts;
  readonly #methods = new Map<DescMethod, KnownMethod>();

  constructor(parts: InProcessRouteParts) {
    this.#parts = parts;
  }

  open(request: InProcessRequest): DecidedCall | WaitingInProcessCall {
    const { context, caller, serviceType } = this.#parts;
    const { forward } = context;
    const known = this.#known(request.method);
    const by = caller();
    const account = new CallAccount(head, by, protocolOf(request), forward.clock);
    account.serviceType = serviceType;
    const contentLength =
      forward.options.maxBodyBytes === Number.POSITIVE_INFINITY || request.method.methodKind !== "unary"
        ? undefined
        : request.messageBytes();
    if (contentLength !== undefined) account.requestBytes = contentLength;
    const target = account.avoid(mayAvoid(by) ? request.avoided() : undefined) ?? known.target;
    const asked: DecideRequest = { target, caller: by, avoided: account.avoided, contentLength };
    const decision = decide(asked, forward.view, forward.decideOptions);
    if (decision.kind === "forward") return this.#admit(request, account, known, decision);
    return decision.busy === true
      ? this.#wait(request, account, known, asked, decision)
      : this.#refuse(request, account, decision);
  }

  #known(method: DescMethod): KnownMethod {
    let known = this.#methods.get(method);
    if (known === undefined) {
      const { serviceType, idOrAny, pathForm } = this.#parts;
      const path = pathForm === "short" ? method.name : `${method.parent.typeName}/${method.name}`;
      const target = targetOf(serviceType, idOrAny, path);
      known = {
        target,
        path: `/services/${serviceType}/${idOrAny}/${path}`,
        registration: undefined,
        method: undefined,
      };
      this.#methods.set(method, known);
    }
    return known;
  }

  #admit(request: InProcessRequest, account: CallAccount, known: KnownMethod, decision: Forward): DecidedCall {
    const { context, decided, links } = this.#parts;
    const { registration, provider, caller } = decision;
    if (registration !== known.registration || known.method === undefined) {
      const { address } = provider.plugin;
      const found = address.kind === "module" ? address.services?.find(decision.method) : undefined;
      known.registration = registration;
      known.method = found?.method.methodKind === request.method.methodKind ? found : undefined;
    }
    if (known.method === undefined) {
      const { path } = known;
      const passed = { request, account, target: known.target as RouteTarget, path, decision };
      const linked = links.call(passed);
      if (linked !== undefined) return linked;
      const told = account.avoided === undefined ? undefined : provider.plugin.runtimeId;
      return { kind: "detour", provider: told, ...decided.keep(decision) };
    }
    if (caller.kind === "plugin") context.forward.traffic.called(caller, decision.serviceType);
    return new InProcessCall(context, request, account, decision, known.method);
  }

  #refuse(request: InProcessRequest, account: CallAccount, refusal: Refuse): DecidedCall {
    const { context } = this.#parts;
    account.provider = refusal.provider?.plugin;
    account.failed(refusal, "refused");
    account.status = request.method.methodKind === "unary" ? refusal.httpStatus : 200;
    tellOf(context, account);
    return { kind: "refused", failure: account.withProvider(account.notSent(refusal)) };
  }

  #wait(
    request: InProcessRequest,
    account: CallAccount,
    known: KnownMethod,
    asked: DecideRequest,
    refusal: Refuse,
  ): DecidedCall | WaitingInProcessCall {
    const { context, queue } = this.#parts;
    const decided = deferred<DecidedCall>();
    const wait = new InProcessWait({
      context,
      queue,
      account,
      asked,
      forward: (decision) => decided.resolve(this.#admit(request, account, known, decision)),
      refuse: (refused) => decided.resolve(this.#refuse(request, account, refused)),
    });
    account.provider = refusal.provider?.plugin;
    queue.join(wait, refusal);
    return {
      kind: "waiting",
      decided: decided.promise,
      leave: (why) => wait.leave(why, request.timeoutMs),
    };
  }
}

/** Whose rules the call's codes and statuses follow. */
const protocolOf = ({ method }: InProcessRequest): "connect-unary" | "connect-stream" =>
  method.methodKind === "unary" ? "connect-unary" : "connect-stream";
