import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { RequestHead } from "../http/exchange.js";
import { toFieldObject } from "../http/field-list.js";
import { endWithAnswer } from "../http/last-answer.js";
import { type Deferred, deferred } from "../internal/deferred.js";
import type { InFlightEntry } from "../internal/in-flight.js";
import type { CallEvent } from "../model/call-event.js";
import { type Principal, principalId } from "../model/principal.js";
import { avoidField } from "../model/provider-choice.js";
import { mayAvoid } from "./avoided.js";
import { CallAccount } from "./call-account.js";
import { CallRetries } from "./call-retries.js";
import { type Caller, type Decision, decide, type Forward, type Refuse } from "./decide.js";
import { dial } from "./dial.js";
import { dialFailure } from "./dial-failure.js";
import type { ForwardContext } from "./forward-context.js";
import type { BadPath, RouteTarget } from "./path.js";
import { type CallFailure, errorAnswer, failureOf } from "./protocol-error.js";
import type { ProviderQueue, WaitingCall } from "./provider-queue.js";
import { requestFields } from "./request-headers.js";
import type { TargetAddress } from "./target-address.js";
import { continueTrace } from "./trace-context.js";
import { runTunnel } from "./upgrade-tunnel.js";
import type { UpstreamFailure } from "./upstream.js";

/** One request to upgrade. */
export interface UpgradeCall {
  readonly head: RequestHead;
  /** What `head` was read from. */
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What came behind the head. */
  readonly early: Buffer;
  readonly caller: Caller;
  readonly target: RouteTarget | BadPath;
}

/** Decides on an upgrade as on any call, and joins both connections. Resolves when they are closed; never rejects. */
export async function forwardUpgrade(context: ForwardContext, queue: ProviderQueue, call: UpgradeCall): Promise<void> {
  const upgrade = new ForwardedUpgrade(context, queue, call);
  try {
    await upgrade.run();
  } catch (error) {
    call.socket.destroy();
    upgrade.account.failed(failureOf("internal", 500, String(error)), "aborted");
  } finally {
    upgrade.end();
    context.onCall(upgrade.account.event());
  }
}

const gone = failureOf("canceled", 499, "the caller went away");

/** One upgrade: it may wait for room, be dialled again, move on to another provider, and is joined in the end. */
class ForwardedUpgrade implements InFlightEntry, WaitingCall {
  readonly account: CallAccount;
  readonly callerKey: string;
  readonly serviceType: string;
  readonly pinned: boolean;
  readonly #context: ForwardContext;
  readonly #queue: ProviderQueue;
  readonly #call: UpgradeCall;
  readonly #target: RouteTarget | BadPath;
  /** Settled when nobody has to wait for the caller, or the host, to give up any more. */
  readonly #givenUp: Deferred<void> = deferred();
  #decision: Forward | undefined;
  /** Settled with the decision of a call that waits. */
  #turn: Deferred<void> | undefined;
  #waited = false;
  #isOver = false;

  constructor(context: ForwardContext, queue: ProviderQueue, call: UpgradeCall) {
    this.#context = context;
    this.#queue = queue;
    this.#call = call;
    const { caller } = call;
    this.account = new CallAccount(call.head, caller, "http", context.clock);
    const target = this.account.avoid(mayAvoid(caller) ? call.head.header(avoidField) : undefined) ?? call.target;
    this.#target = target;
    this.callerKey = "refused" in caller ? "" : principalId(caller);
    this.serviceType = target.kind === "target" ? target.serviceType : "";
    this.pinned = target.kind === "target" && target.runtimeId !== undefined;
    this.account.serviceType = this.serviceType;
  }

  async run(): Promise<void> {
    const { socket } = this.#call;
    socket.on("close", () => {
      if (!this.#isOver && this.account.status === 0) this.#giveUp(gone, "caller-gone");
    });
    const first = this.decide();
    if (first.kind === "forward") this.forward(first);
    else if (first.busy !== true) this.refuse(first);
    else await this.#wait(first);
    if (this.#isOver || this.#decision === undefined) return;
    const peer = await this.#connect();
    if (peer === undefined) return;
    const { request, early } = this.#call;
    const { traffic } = this.#context;
    await runTunnel({
      context: this.#context,
      account: this.account,
      request,
      socket,
      early,
      peer,
      path: this.#decision.upstreamPath,
      fields: this.#fields(this.#decision),
      answered: () => traffic.answered(this.#runtimeId),
      failed: (what, httpStatus) => this.#failProvider(what, httpStatus),
      broke: (message) => this.#brokeOff(message),
      gone: () => this.#giveUp(gone, "caller-gone"),
    });
  }

  /** Ends the call on the host's behalf. */
  abort(reason: Error): void {
    this.#giveUp(failureOf("unavailable", 503, reason.message, this.#context.options.retryAfterMs), "aborted");
  }

  /** The call is over: gives back what it holds. Idempotent. */
  end(): void {
    this.#isOver = true;
    this.#decision?.provider.inFlight.leave(this);
  }

  decide(): Decision {
    const { caller } = this.#call;
    const { avoided } = this.account;
    const { view, decideOptions } = this.#context;
    const asked = { target: this.#target, caller, avoided };
    const request = { ...asked, contentLength: undefined, waited: this.#waited, upgrade: true };
    return decide(request, view, decideOptions);
  }

  forward(decision: Forward): void {
    const { traffic } = this.#context;
    if (decision.caller.kind === "plugin") traffic.called(decision.caller as Principal, decision.serviceType);
    this.#enter(decision);
    this.#turn?.resolve();
  }

  refuse(refusal: Refuse): void {
    this.account.provider = refusal.provider?.plugin;
    this.#giveUp(this.account.notSent(refusal), "refused");
    this.#turn?.resolve();
  }

  get #runtimeId(): string {
    return this.#decision?.provider.plugin.runtimeId ?? "";
  }

  async #wait(refusal: Refuse): Promise<void> {
    const { socket } = this.#call;
    this.#waited = true;
    this.account.provider = refusal.provider?.plugin;
    this.#turn = deferred();
    // Nobody reads the socket yet, so that only its buffer tells of a caller that has gone.
    const look = (): void => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      socket.off("readable", look);
      socket.unshift(chunk);
    };
    const ended = (): void => this.#giveUp(gone, "caller-gone");
    socket.once("end", ended);
    socket.on("readable", look);
    this.#queue.join(this, refusal);
    await Promise.race([this.#turn.promise, this.#givenUp.promise]);
    this.#queue.leave(this);
    socket.off("readable", look);
    socket.off("end", ended);
  }

  #enter(decision: Forward): void {
    const before = this.#decision?.provider.inFlight;
    this.#decision = decision;
    this.account.provider = decision.provider.plugin;
    this.account.method = decision.method;
    decision.provider.inFlight.enter(this);
    // In this order, so that nobody who waits for either to be idle is told so in between.
    if (before !== undefined && before !== decision.provider.inFlight) before.leave(this);
  }

  /** A connection to the provider, or to another one; undefined if the call is over before there is one. */
  async #connect(): Promise<Duplex | undefined> {
    const target = this.#target;
    const retries =
      target.kind === "target" ? new CallRetries(this.#context, target, this.account.avoided, true) : undefined;
    for (;;) {
      const decision = this.#decision as Forward;
      const dialled = await this.#dial(decision);
      if (this.#isOver) {
        dialled.peer?.destroy();
        return undefined;
      }
      if (dialled.peer !== undefined) return dialled.peer;
      const next = retries?.after(dialled.failure, decision) ?? { kind: "give-up" };
      switch (next.kind) {
        case "give-up":
          this.#failProvider(`cannot be reached: ${dialled.failure.message}`, 502);
          return undefined;
        case "elsewhere":
          if (next.providerFailed) this.#context.traffic.failed(this.#runtimeId, dialled.failure.message);
          this.#enter(next.decision);
          break;
        case "later": {
          const again = deferred();
          const timer = this.#context.clock.after(next.delayMs, again.resolve);
          await Promise.race([again.promise, this.#givenUp.promise]);
          timer.cancel();
          if (this.#isOver) return undefined;
          const decided = next.decide();
          if (decided.kind === "refuse") {
            this.refuse(decided);
            return undefined;
          }
          this.#enter(decided);
        }
      }
    }
  }

  async #dial({
    provider,
  }: Forward): Promise<{ readonly peer: Duplex } | { readonly peer?: undefined; readonly failure: UpstreamFailure }> {
    const target = this.#address(provider.plugin);
    const peer = dial(target, ["http/1.1"]);
    const open = deferred<UpstreamFailure | undefined>();
    const { connectTimeoutMs } = this.#context.options;
    const late = { kind: "timeout", message: `no connection within ${connectTimeoutMs} ms` } as const;
    const timer = this.#context.clock.after(connectTimeoutMs, () => open.resolve(late));
    peer.on("error", (error) => open.resolve(dialFailure(error)));
    peer.once(target.secure ? "secureConnect" : "connect", () => open.resolve(undefined));
    if (target.connect !== undefined) open.resolve(undefined);
    void this.#givenUp.promise.then(() => open.resolve({ kind: "unreachable", message: "the call is over" }));
    const failure = await open.promise;
    timer.cancel();
    if (failure === undefined) return { peer };
    peer.destroy();
    return { failure };
  }

  #address(plugin: Forward["provider"]["plugin"]): TargetAddress {
    const target = this.#context.connections.poolOf(plugin)?.target;
    if (target === undefined) throw new Error(`${plugin.runtimeId} has no address`);
    return target;
  }

  /** The fields towards the provider, with those of the upgrade itself put back. */
  #fields({ caller, serviceType, provider }: Forward) {
    const { head } = this.#call;
    const { account } = this;
    const trace = continueTrace(head.header("traceparent"), this.#context.traceIds);
    account.traceparent = trace.traceparent;
    const hop = {
      caller,
      serviceType,
      protocol: "http",
      traceparent: trace.traceparent,
      traceContinued: trace.continued,
      elapsedMs: account.elapsedMs(),
      trailersPossible: false,
      hostSecret: provider.hostSecret,
    } as const;
    const fields = toFieldObject(requestFields(head, hop, this.#context.options));
    const host = this.#address(provider.plugin).authority;
    return { host, ...fields, connection: "Upgrade", upgrade: head.header("upgrade") ?? "" };
  }

  #failProvider(what: string, httpStatus: number): void {
    const reason = `${this.#runtimeId} ${what}`;
    this.#context.traffic.failed(this.#runtimeId, reason);
    const { retryAfterMs } = this.#context.options;
    this.#giveUp(failureOf("unavailable", httpStatus, reason, retryAfterMs), "provider-failed");
  }

  #brokeOff(message: string): void {
    const reason = `${this.#runtimeId} broke off its answer: ${message}`;
    this.#context.traffic.broke(this.#runtimeId, reason);
    this.#giveUp(failureOf("unavailable", 502, reason), "provider-failed");
  }

  /** Ends the call before both connections are joined, or cuts them off. */
  #giveUp(failure: CallFailure, outcome: CallEvent["outcome"]): void {
    if (this.#isOver) return;
    const { account } = this;
    const { socket } = this.#call;
    account.failed(failure, outcome);
    if (account.status !== 0 || socket.destroyed || outcome === "caller-gone") socket.destroy();
    else {
      account.status = failure.httpStatus;
      endWithAnswer(socket, this.#context.clock, errorAnswer("http", undefined, account.withProvider(failure)));
    }
    this.end();
    this.#givenUp.resolve();
  }
}
