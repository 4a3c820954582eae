import type { FieldList } from "../http/exchange.js";
import type { ResetCode } from "../link/frame.js";
import type { LinkEnd, LinkStream, LinkStreamHandler } from "../link/link-stream.js";
import type { LinkedCall } from "./linked-call.js";

/** The provider's side of one try of a {@link LinkedCall}: of a try that was given up nothing reaches the call. */
export class ProviderLeg implements LinkStreamHandler {
  readonly pieces = true;
  stream: LinkStream | undefined;
  readonly #call: LinkedCall;

  constructor(call: LinkedCall) {
    this.#call = call;
  }

  onHead(fields: FieldList, informational: boolean): void {
    // HTTP's 1xx answers mean nothing to a call of messages.
    if (!informational) this.#call.head(fields);
  }

  onData(bytes: Uint8Array, endOfMessage: boolean): void {
    const { stream } = this;
    if (this.#call.pass(bytes, endOfMessage, stream?.peerEnd)) stream?.consume();
  }

  onEnd(end: LinkEnd): void {
    this.#call.complete(end);
    // What still waits towards the caller has left this link for good.
    this.stream?.consume();
  }

  onReset(code: ResetCode, message: string): void {
    this.#call.broken(code, message);
  }

  onDrain(): void {
    this.#call.drained();
  }
}
