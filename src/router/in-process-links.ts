import type { ConnectionInfo, FieldList } from "../http/exchange.js";
import { callKinds } from "../link/call-kinds.js";
import { okEnd } from "../link/head-codec.js";
import type { InProcessRequest, LinkedCaller, LinkedInProcessCall } from "../link/in-process-route.js";
import type { LinkStream } from "../link/link-stream.js";
import { MemoryStream } from "../link/memory-stream.js";
import { MessageBudget } from "../link/message-budget.js";
import { MessageExchange } from "../link/message-exchange.js";
import type { CallAccount } from "./call-account.js";
import type { Forward } from "./decide.js";
import { KeptDecision } from "./decided-calls.js";
import { ForwardedCall } from "./forward.js";
import { type InProcessContext, tellOf } from "./in-process-call.js";
import { LinkedCall } from "./linked-call.js";
import type { LinkedCallContext } from "./linked-call-state.js";
import type { RouteTarget } from "./path.js";
import type { ProviderQueue } from "./provider-queue.js";

/** A call of code in this process that the host has let pass. */
export interface LetPass {
  readonly request: InProcessRequest;
  readonly account: CallAccount;
  readonly target: RouteTarget;
  /** As in an HTTP request to the host. */
  readonly path: string;
  readonly decision: Forward;
}

/** As over a connection in memory. Who calls is in the account. */
const origin = {
  connection: { transport: "memory", remoteAddress: "", encrypted: false, principal: undefined } as ConnectionInfo,
  authority: "host.invalid",
};

// What clients of Connect take, over connections and links alike.
const maxMessageBytes = 2 ** 32 - 1;

// As far as a link counts.
const longestMs = 2 ** 47;

/** Calls of code in this process to providers on links: as calls that come over a link, without the link in front. */
export class InProcessLinks {
  readonly #context: LinkedCallContext;
  readonly #budget = new MessageBudget(maxMessageBytes);

  constructor(context: InProcessContext, queue: ProviderQueue) {
    this.#context = { forward: context.forward, queue, tell: (account) => tellOf(context, account) };
  }

  /** Undefined if the provider that was chosen has no link. */
  call(passed: LetPass): LinkedInProcessCall | undefined {
    const { links } = this.#context.forward;
    if (links.sessionOf(passed.decision.provider.plugin.runtimeId) === undefined) return undefined;
    // The caller may take its turn before it sends anything.
    const place = new KeptDecision(passed.decision);
    return {
      kind: "linked",
      start: (fields, caller, message) => {
        const stream = this.#start(passed, fields, caller, message);
        // Counted by itself now.
        place.release();
        return stream;
      },
      release: () => place.release(),
    };
  }

  #start(passed: LetPass, fields: FieldList, caller: LinkedCaller, message: Uint8Array | undefined): LinkStream {
    const { request, account, target, path, decision } = passed;
    const { timeoutMs, method } = request;
    const deadlineMs = timeoutMs === undefined ? 0 : Math.ceil(Math.min(timeoutMs, longestMs));
    const head = { kind: callKinds[method.methodKind], path, deadlineMs, fields };
    const [near, far] = MemoryStream.pair(head, maxMessageBytes);
    near.handler = caller;
    caller.opened(near);
    // Counted as it goes from here on.
    account.requestBytes = 0;
    far.handler = new LinkedCall(this.#context, {
      from: far,
      origin,
      target,
      caller: decision.caller,
      account,
      decided: decision,
      detour: (chosen) => {
        const exchange = new MessageExchange(far, origin.connection, origin.authority, this.#budget);
        const call = new ForwardedCall(this.#context.forward, exchange, target, account, chosen);
        return { ...exchange.handler, begin: () => call.begin() };
      },
    });
    if (message !== undefined) near.end(okEnd, message);
    return near;
  }
}
