import type { FieldList } from "../http/exchange.js";
import { type ResetCode, resetCode } from "./frame.js";
import { okEnd } from "./head-codec.js";
import type { LinkCallHead, LinkEnd, LinkStream, LinkStreamHandler } from "./link-stream.js";
import { MessageAssembly } from "./message-assembly.js";

const nobody: LinkStreamHandler = { onData() {}, onEnd() {}, onReset() {} };

/**
 * One end of a call within this process: what is sent at one end is handed to the other end's handler at once, as it is. It behaves as a
 * stream of a link with room for what one side has not consumed, and no more. Deadlines are for those who hold the ends to keep.
 */
export class MemoryStream implements LinkStream {
  /** Gets what the other end sends. To be set before that sends anything. */
  handler: LinkStreamHandler = nobody;
  closed = false;
  peerEnd: LinkEnd | undefined;
  /** Everything has left for the other end. */
  readonly queuedBytes = 0;
  readonly #answers: boolean;
  readonly #maxMessageBytes: number;
  #other!: MemoryStream;
  #headGiven = false;
  #ending = false;
  /** The handler was given something that it has not consumed. */
  #hasUnread = false;
  /** The other end was told to wait for that. */
  #owesDrain = false;
  /** A whole message is unread. */
  #delivered = false;
  #assembly: MessageAssembly | undefined;
  /** A message was larger than the handler takes, so that it gets no more. */
  #isRefusing = false;

  private constructor(
    readonly head: LinkCallHead,
    answers: boolean,
    maxMessageBytes: number,
  ) {
    this.#answers = answers;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /**
   * The ends of a new call: of who calls, and of who answers.
   *
   * @param maxMessageBytes for a message where whole ones are asked for
   */
  static pair(head: LinkCallHead, maxMessageBytes: number): [caller: MemoryStream, taker: MemoryStream] {
    const caller = new MemoryStream(head, false, maxMessageBytes);
    const taker = new MemoryStream(head, true, maxMessageBytes);
    caller.#other = taker;
    taker.#other = caller;
    return [caller, taker];
  }

  sendHead(fields: FieldList, informational = false): void {
    if (this.closed || !this.#answers || this.#headGiven || this.#ending) return;
    this.#headGiven = !informational;
    this.#other.handler.onHead?.(fields, informational);
  }

  send(bytes: Uint8Array, endOfMessage = true): boolean {
    if (this.closed || this.#ending) return true;
    this.#headGiven = true;
    return this.#other.#receive(bytes, endOfMessage);
  }

  end(end: LinkEnd = okEnd, message?: Uint8Array): void {
    if (this.closed || this.#ending) return;
    this.#ending = true;
    const other = this.#other;
    other.peerEnd = end;
    if (message !== undefined) other.#receive(message, true);
    // What the handler did with the message may have ended the call.
    if (this.closed) return;
    if (other.#assembly !== undefined) return other.#fail(resetCode.protocol, "the stream ended inside a message");
    // The answer's end is the call's end.
    if (this.#answers) this.#close();
    other.handler.onEnd(end);
  }

  reset(code: ResetCode, message = ""): void {
    if (this.closed) return this.consume();
    this.#close();
    this.#other.handler.onReset(code, message);
  }

  consume(): void {
    this.#delivered = false;
    this.#hasUnread = false;
    if (!this.#owesDrain || this.closed) return;
    this.#owesDrain = false;
    this.#other.handler.onDrain?.();
  }

  /** False if more should wait. */
  #receive(bytes: Uint8Array, endOfMessage: boolean): boolean {
    this.#hasUnread = true;
    if (this.handler.pieces === true) this.handler.onData(bytes, endOfMessage);
    else this.#gather(bytes, endOfMessage);
    if (this.closed || !this.#hasUnread) return true;
    this.#owesDrain = true;
    return false;
  }

  #gather(bytes: Uint8Array, endOfMessage: boolean): void {
    if (this.#isRefusing) return this.consume();
    const size = (this.#assembly?.size ?? 0) + bytes.length;
    if (size > this.#maxMessageBytes) {
      return this.#fail(resetCode.tooLarge, `a message has more than ${this.#maxMessageBytes} bytes`);
    }
    if (size > (this.handler.maxMessageBytes ?? Number.POSITIVE_INFINITY)) {
      this.#assembly = undefined;
      this.#isRefusing = true;
      this.handler.onTooLarge?.();
      return this.consume();
    }
    if (!endOfMessage) {
      this.#assembly ??= new MessageAssembly();
      this.#assembly.push(bytes);
      // Nobody can consume a message that is not whole. But while messages wait to be consumed, the next one has to wait, too.
      if (!this.#delivered) this.consume();
      return;
    }
    const assembly = this.#assembly;
    this.#assembly = undefined;
    assembly?.push(bytes);
    this.#delivered = true;
    this.handler.onData(assembly?.take() ?? bytes, true);
  }

  #fail(code: ResetCode, message: string): void {
    this.reset(code, message);
    this.handler.onReset(code, message);
  }

  #close(): void {
    for (const end of [this, this.#other]) {
      end.closed = true;
      end.#assembly = undefined;
    }
  }
}
