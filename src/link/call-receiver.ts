import type { FieldList } from "../http/exchange.js";
import type { ControlFrames } from "./control-frames.js";
import { closeCode, LinkFault, resetCode } from "./frame.js";
import type { PeerLimits } from "./hello.js";
import type { Content, Inbox } from "./inbox.js";
import type { LinkLimits } from "./link-limits.js";
import type { LinkState } from "./link-session-options.js";
import type { LinkCallHead, LinkStream, LinkStreamHandler } from "./link-stream.js";
import type { OpenCalls } from "./open-calls.js";
import type { ReceiveWindow } from "./receive-window.js";
import { StreamCore, type StreamOwner } from "./stream-core.js";

/** What a receiver needs of its session. */
export interface CallReceiverParts {
  readonly calls: OpenCalls;
  readonly window: ReceiveWindow;
  readonly control: ControlFrames;
  readonly inbox: Inbox;
  readonly owner: StreamOwner;
  readonly limits: LinkLimits;
  state(): LinkState;
  onCall(stream: LinkStream): LinkStreamHandler;
  /** A stream has ended with both sides' consent. */
  over(stream: StreamCore): void;
  /** A handler has thrown. */
  report(error: unknown): void;
}

/** Brings what frames carry to the streams that they are for. */
export class CallReceiver {
  readonly #parts: CallReceiverParts;
  #taken = 0;

  constructor(parts: CallReceiverParts) {
    this.#parts = parts;
  }

  /** How many calls the other side has opened, refused ones too. */
  get taken(): number {
    return this.#taken;
  }

  /** @throws LinkFault if the other side may not open this stream, or had no room for the bytes */
  open(id: number, head: LinkCallHead, content: Content, peer: PeerLimits | undefined): void {
    const { calls, window, control, inbox, owner, limits } = this.#parts;
    if (!calls.mayOpen(id)) {
      throw new LinkFault(closeCode.protocol, `stream ${id} is open already, or is not the opener's to use`);
    }
    window.receive(content.cost);
    this.#taken += 1;
    const full = calls.theirs >= limits.maxStreams;
    if (full || this.#parts.state() === "closing") {
      inbox.spend("resets");
      window.release(content.cost);
      const why = full ? `at most ${limits.maxStreams} calls may be open` : "the link takes no more calls";
      return control.reset(id, resetCode.refused, why);
    }
    const stream = new StreamCore(owner, id, false, head, peer?.streamWindowBytes ?? 0);
    calls.addTheirs(stream);
    try {
      stream.handler = this.#parts.onCall(stream);
    } catch (error) {
      this.#failed(stream, error);
    }
    this.#receive(stream, undefined, false, content);
  }

  /** @throws LinkFault if the stream has ended, or there was no room for the bytes */
  part(id: number, head: FieldList | undefined, informational: boolean, content: Content): void {
    const { calls, window } = this.#parts;
    window.receive(content.cost);
    const stream = calls.get(id);
    // Frames that crossed the end of their call on the way. Their fields had to be read, for the table of texts.
    if (stream === undefined) return window.release(content.cost);
    if (stream.peerEnd !== undefined) throw new LinkFault(closeCode.protocol, `stream ${id} goes on after its end`);
    this.#receive(stream, head, informational, content);
  }

  #receive(stream: StreamCore, head: FieldList | undefined, informational: boolean, content: Content): void {
    const { bytes, end } = content;
    stream.peerEnd = end;
    try {
      if (head !== undefined) stream.receiveHead(head, informational);
      if (bytes !== undefined && !stream.closed) stream.receiveData(bytes, content.cost, content.endOfMessage);
      else this.#parts.window.release(content.cost);
      if (end === undefined || stream.closed) return;
      // The answer's end is the call's end: the other side has forgotten the call already.
      if (stream.ours) this.#parts.over(stream);
      stream.receiveEnd(end);
    } catch (error) {
      if (error instanceof LinkFault) throw error;
      this.#failed(stream, error);
    }
  }

  #failed(stream: StreamCore, error: unknown): void {
    this.#parts.report(error);
    stream.reset(resetCode.internal, "the receiver failed");
  }
}
