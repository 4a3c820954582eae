import type { FieldList } from "../http/exchange.js";
import { callKind, type ResetCode } from "./frame.js";
import type { LinkSession } from "./link-session.js";
import type { LinkCallHead, LinkEnd, LinkStream, LinkStreamHandler } from "./link-stream.js";

/** What who forwards a call may want to know of it, and to change. */
export interface ForwardOptions {
  /** Changes the fields of an answer's head. */
  readonly answerHead?: (fields: FieldList, informational: boolean) => FieldList;
  /** The provider has ended the call. */
  readonly onEnd?: (end: LinkEnd) => void;
  /** The call ended early. `by` says on whose side. */
  readonly onReset?: (code: ResetCode, message: string, by: "caller" | "provider") => void;
}

/** What comes in on one stream goes out on the other, piece by piece; room is given back as pieces leave. */
class Leg implements LinkStreamHandler {
  readonly pieces = true;
  readonly #by: "caller" | "provider";
  readonly #options: ForwardOptions;
  #from: LinkStream | undefined;
  #to: LinkStream | undefined;

  constructor(by: "caller" | "provider", options: ForwardOptions) {
    this.#by = by;
    this.#options = options;
  }

  join(from: LinkStream, to: LinkStream): void {
    this.#from = from;
    this.#to = to;
  }

  onHead(fields: FieldList, informational: boolean): void {
    this.#to?.sendHead(this.#options.answerHead?.(fields, informational) ?? fields, informational);
  }

  onData(bytes: Uint8Array, endOfMessage: boolean): void {
    const end = this.#from?.peerEnd;
    // Together, so that the last message and the end stay one frame.
    if (end !== undefined && (endOfMessage || this.#from?.head.kind === callKind.http)) this.#to?.end(end, bytes);
    else if (this.#to?.send(bytes, endOfMessage) === false) return;
    this.#from?.consume();
  }

  /** What this side was sent has left on its own stream, so who sent it may send more. */
  onDrain(): void {
    this.#to?.consume();
  }

  onEnd(end: LinkEnd): void {
    this.#to?.end(end);
    // What is still queued there has left this link for good.
    this.#from?.consume();
    if (this.#by === "provider") this.#options.onEnd?.(end);
  }

  onReset(code: ResetCode, message: string): void {
    this.#to?.reset(code, message);
    this.#options.onReset?.(code, message, this.#by);
  }
}

/**
 * Passes a call on to another link without decoding its messages, for use in `onCall`: returns the handler of `from`. Messages
 * stay cut as they came, one frame stays one frame, and neither side is given room before the other has taken the
 * bytes. Cancellation and resets go on with their codes.
 *
 * @throws PluginHostError as {@link LinkSession.open}; nothing has been done to `from` then
 */
export function forwardCall(
  from: LinkStream,
  to: LinkSession,
  head: LinkCallHead,
  options: ForwardOptions = {},
): LinkStreamHandler {
  const caller = new Leg("caller", options);
  const provider = new Leg("provider", options);
  const onward = to.open(head, provider);
  caller.join(from, onward);
  provider.join(onward, from);
  return caller;
}
