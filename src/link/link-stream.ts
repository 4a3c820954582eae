import type { FieldList } from "../http/exchange.js";
import type { CallKind, ResetCode } from "./frame.js";

/** How a call begins. */
export interface LinkCallHead {
  readonly kind: CallKind;
  /** Path (and query) as in an HTTP request to the other side, such as `/services/log/any/log.v1.Log/Write`. */
  readonly path: string;
  /** Milliseconds that are left for the call; 0 is no limit. Both sides end the call when they have passed. */
  readonly deadlineMs: number;
  /** Names in lower case. For kind `http` with `:method` and `:authority`. */
  readonly fields: FieldList;
}

/** How a direction of a call ends. */
export interface LinkEnd {
  /** 0, or the number of a Connect code. A caller that has sent its last message always says 0. */
  readonly code: number;
  readonly message: string;
  /** Error details in a form that the two ends of the call agree on; nobody between looks at them. */
  readonly details: Uint8Array | undefined;
  readonly trailers: FieldList;
}

/**
 * What comes on a stream. The methods are called from the loop that decodes frames and must return soon; when one
 * throws, the stream is reset with `internal`. Nothing is called any more after `onReset`, or after the side that
 * answers has ended.
 */
export interface LinkStreamHandler {
  /** True: `onData` gets messages in the pieces in which they come, as bodies do in any case. Otherwise it gets whole messages. */
  readonly pieces?: boolean;
  /** Largest message in bytes, for who takes whole ones and wants less than the link brings. Undefined for no such limit. */
  readonly maxMessageBytes?: number | undefined;
  /** The answer's fields, before its first bytes. `informational`: a 1xx answer, others follow. For who opened the call. */
  onHead?(fields: FieldList, informational: boolean): void;
  /**
   * A message, or a piece of one. The bytes stay valid, but they are a view of a larger chunk, so copy what you keep for
   * long. Call `stream.consume()` when they are dealt with.
   */
  onData(bytes: Uint8Array, endOfMessage: boolean): void;
  /** In the place of the first message that is larger than `maxMessageBytes`. Of the rest no `onData` is called. */
  onTooLarge?(): void;
  /** The other side has sent everything. The answer's end ends the call. */
  onEnd(end: LinkEnd): void;
  /** The call is over without an end: cancelled, refused, out of time, or the link is gone. */
  onReset(code: ResetCode, message: string): void;
  /** Everything that was queued is sent: go on after `send` returned false. */
  onDrain?(): void;
}

/** One call on a link, as both sides see it. All methods do nothing once the call is over. */
export interface LinkStream {
  readonly head: LinkCallHead;
  /** Whether the call is over. */
  readonly closed: boolean;
  /** How the other side ended, already set while its last bytes are handed to `onData`. */
  readonly peerEnd: LinkEnd | undefined;
  /** Bytes that wait to be sent. */
  readonly queuedBytes: number;
  /**
   * Sets the answer's fields; they go out with the first bytes, or at the end of this tick. For who answers, once; with
   * `informational` (a 1xx answer, `:status` among the fields) any number of times before.
   */
  sendHead(fields: FieldList, informational?: boolean): void;
  /**
   * Sends a message or a piece of one. False: it waits for room. It is taken nevertheless, but send no more
   * before `onDrain`. The bytes must not change until then.
   */
  send(bytes: Uint8Array, endOfMessage?: boolean): boolean;
  /**
   * Ends our direction after what is queued, with one more message if `message` is given. For who answers this ends
   * the call.
   */
  end(end?: LinkEnd, message?: Uint8Array): void;
  /** Gives the call up at once; what is queued is dropped. `onReset` is not called. */
  reset(code: ResetCode, message?: string): void;
  /** Says that all bytes handed to `onData` so far are dealt with, so that the other side may send as many more. */
  consume(): void;
}
