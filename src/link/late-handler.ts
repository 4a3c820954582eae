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

  constructor(stream: LinkStream) {
    this.#stream = stream;
  }

  /** From now on `handler`, which takes whole messages, gets everything; first what has come so far. */
  begin(handler: LinkStreamHandler): void {
    this.#handler = handler;
    const messages = this.#messages;
    this.#messages = [];
    for (const message of messages) if (!this.#stream.closed) handler.onData(message, true);
    if (this.#end !== undefined && !this.#stream.closed) handler.onEnd(this.#end);
  }

  onData(bytes: Uint8Array): void {
    if (this.#handler === undefined) this.#messages.push(plainCopy(bytes));
    else this.#handler.onData(bytes, true);
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
