import type { ResetCode } from "./frame.js";
import type { LinkEnd, LinkStream, LinkStreamHandler } from "./link-stream.js";
import { plainCopy } from "./message-inbox.js";

/**
 * Keeps what comes on a stream until somebody is there for it. Room is given back only then, so that no more than a window
 * gathers.
 */
export class LateHandler implements LinkStreamHandler {
  readonly #stream: LinkStream;
  #handler: LinkStreamHandler | undefined;
  #messages: Uint8Array[] = [];
  #end: LinkEnd | undefined;
  /** A message that was kept is larger than the handler takes, so that it gets no more. */
  #isRefusing = false;

  constructor(stream: LinkStream) {
    this.#stream = stream;
  }

  /** None before somebody is there who could have one. */
  get maxMessageBytes(): number | undefined {
    return this.#handler?.maxMessageBytes;
  }

  /** From now on `handler`, which takes whole messages, gets everything; first what has come so far. */
  begin(handler: LinkStreamHandler): void {
    this.#handler = handler;
    const messages = this.#messages;
    this.#messages = [];
    const { maxMessageBytes = Number.POSITIVE_INFINITY } = handler;
    for (const message of messages) {
      if (this.#stream.closed) return;
      if (message.length <= maxMessageBytes) handler.onData(message, true);
      else {
        this.#isRefusing = true;
        handler.onTooLarge?.();
        this.#stream.consume();
        break;
      }
    }
    if (this.#end !== undefined && !this.#stream.closed) handler.onEnd(this.#end);
  }

  onData(bytes: Uint8Array): void {
    if (this.#isRefusing) this.#stream.consume();
    else if (this.#handler === undefined) this.#messages.push(plainCopy(bytes));
    else this.#handler.onData(bytes, true);
  }

  onTooLarge(): void {
    this.#handler?.onTooLarge?.();
  }

  onEnd(end: LinkEnd): void {
    if (this.#handler === undefined) this.#end = end;
    else this.#handler.onEnd(end);
  }

  onReset(code: ResetCode, message: string): void {
    this.#messages = [];
    this.#handler?.onReset(code, message);
  }

  onDrain(): void {
    this.#handler?.onDrain?.();
  }
}
