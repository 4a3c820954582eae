import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { CallAccount } from "./call-account.js";
import type { ForwardContext } from "./forward-context.js";

/** One request to upgrade that goes on over a connection that stands. */
export interface Tunnel {
  readonly context: ForwardContext;
  readonly account: CallAccount;
  /** The caller's request, as node:http handed it over. */
  readonly request: IncomingMessage;
  /** The caller's connection. */
  readonly socket: Duplex;
  /** What the caller sent behind the head. */
  readonly early: Buffer;
  /** The provider's connection. */
  readonly peer: Duplex;
  readonly path: string;
  readonly fields: Readonly<Record<string, string | string[]>>;
  /** The provider answered with a head. */
  readonly answered: () => void;
  /** The provider has given no answer that can be passed on. `what` it did goes behind its name. The caller's connection is open still. */
  readonly failed: (what: string, httpStatus: number) => void;
  /** The provider broke off an answer that the caller has got a part of. */
  readonly broke: (message: string) => void;
  /** The caller went away before it had the whole of an answer that refuses. */
  readonly gone: () => void;
}
