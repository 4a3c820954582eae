import type { RequestHead } from "../http/exchange.js";
import { fieldValue } from "../http/field-list.js";
import type { Clock } from "../internal/clock.js";
import { callKind } from "../link/frame.js";
import type { LinkStream, LinkStreamHandler } from "../link/link-stream.js";
import type { MessageBudget } from "../link/message-budget.js";
import { MessageExchange } from "../link/message-exchange.js";
import type { CallEvent } from "../model/call-event.js";
import { avoidField } from "../model/provider-choice.js";
import { mayAvoid } from "./avoided.js";
import { CallAccount } from "./call-account.js";
import type { Caller } from "./decide.js";
import { ForwardedCall } from "./forward.js";
import type { ForwardContext } from "./forward-context.js";
import type { LinkOrigin } from "./link-fields.js";
import { LinkedCall } from "./linked-call.js";
import type { LinkedCallContext } from "./linked-call-state.js";
import { type BadPath, parseServicePath, type RouteTarget } from "./path.js";
import type { ProviderQueue } from "./provider-queue.js";

/** Who calls over a link. */
export interface LinkCaller extends LinkOrigin {
  readonly caller: Caller;
  /** For messages of this link that have to be put together. */
  readonly budget: MessageBudget;
}

// The account asks for nothing else.
const head = { httpVersion: "2", header: () => undefined } as unknown as RequestHead;

class LinkAccount extends CallAccount {
  constructor(caller: Caller, isUnary: boolean, clock: Clock) {
    super(head, caller, isUnary ? "connect-unary" : "connect-stream", clock);
  }

  override event(): CallEvent {
    return { ...super.event(), protocol: "link", httpVersion: "none" };
  }
}

/** Paths that are remembered as they were read: a caller's calls mostly go to the same few. */
const maxPaths = 1_024;
// And are short, while a path that somebody makes up can be as long as a head.
const longestPath = 1_024;

/** Calls of messages from links to providers. */
export class LinkCalls {
  readonly #context: LinkedCallContext;
  readonly #paths = new Map<string, RouteTarget | BadPath>();

  constructor(forward: ForwardContext, queue: ProviderQueue, isHeard: () => boolean) {
    const tell = (account: CallAccount): void => {
      if (isHeard()) forward.onCall(account.event());
    };
    this.#context = { forward, queue, tell };
  }

  /** Takes a call to `/services/…`, and answers it in every case. */
  take(from: LinkStream, by: LinkCaller): LinkStreamHandler {
    const { forward } = this.#context;
    const { caller } = by;
    const account = new LinkAccount(caller, from.head.kind === callKind.unary, forward.clock);
    const avoided = mayAvoid(caller) ? fieldValue(from.head.fields, avoidField) : undefined;
    const target = account.avoid(avoided) ?? this.#targetOf(from.head.path);
    return new LinkedCall(this.#context, {
      from,
      origin: by,
      target,
      caller,
      account,
      detour: (decision, account) => {
        const exchange = new MessageExchange(from, by.connection, by.authority, by.budget);
        const call = new ForwardedCall(forward, exchange, target as RouteTarget, account, decision);
        return { ...exchange.handler, begin: () => call.begin() };
      },
    });
  }

  #targetOf(path: string): RouteTarget | BadPath {
    let target = this.#paths.get(path);
    if (target === undefined) {
      target = parseServicePath(path);
      if (path.length > longestPath) return target;
      if (this.#paths.size >= maxPaths) this.#paths.clear();
      this.#paths.set(path, target);
    }
    return target;
  }
}
