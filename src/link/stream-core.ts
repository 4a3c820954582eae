import type { FieldList } from "../http/exchange.js";
import type { Expiring } from "./deadline-wheel.js";
import { fittingEnd, fittingHead } from "./fitting.js";
import { callKind, closeCode, LinkFault, type ResetCode, resetCode } from "./frame.js";
import { okEnd, refusePseudoFields } from "./head-codec.js";
import type { HeadProblem } from "./head-problem.js";
import type { PeerLimits } from "./hello.js";
import type { LinkLimits } from "./link-limits.js";
import type { LinkCallHead, LinkEnd, LinkStream, LinkStreamHandler } from "./link-stream.js";
import { MessageAssembly } from "./message-assembly.js";
import type { Outbox } from "./outbox.js";

/** A part of a message that waits to be sent. */
export interface Piece {
  readonly bytes: Uint8Array;
  offset: number;
  readonly endOfMessage: boolean;
  next: Piece | undefined;
}

/** What a stream needs of its session. */
export interface StreamOwner {
  readonly outbox: Outbox;
  readonly limits: LinkLimits;
  /** What the other side takes. There is no stream before it has said so. */
  peer(): PeerLimits;
  /** Tells the other side that a stream is given up, and forgets it. */
  abandon(stream: StreamCore, code: ResetCode, message: string): void;
  /** Gives room for so many bytes back to the other side. */
  release(stream: StreamCore, bytes: number): void;
  /** Runs something of the user's. What it throws is reported. */
  guard(work: () => void): void;
}

const notAccepted: LinkStreamHandler = { onData() {}, onEnd() {}, onReset() {} };

/** A stream with all that its session and outbox keep with it. Users see it as {@link LinkStream}. */
export class StreamCore implements LinkStream, Expiring {
  readonly #owner: StreamOwner;
  head: LinkCallHead;
  handler: LinkStreamHandler = notAccepted;
  /** Whether our side opened the call. */
  readonly ours: boolean;
  /** 0 while it waits for the other side to take more calls. */
  id: number;
  /** How many calls our side had opened with this one. */
  ordinal = 0;
  closed = false;
  peerEnd: LinkEnd | undefined;

  // Kept by the outbox.
  openWaits: boolean;
  answerHead: FieldList | undefined;
  firstPiece: Piece | undefined;
  lastPiece: Piece | undefined;
  queuedBytes = 0;
  endPending: LinkEnd | undefined;
  sendWindow: number;
  active = false;
  nextActive: StreamCore | undefined;

  // Kept by the deadline wheel.
  dueAt = 0;
  bucket: Set<Expiring> | undefined;

  /** Received, and no room given back for it yet. */
  outstanding = 0;
  /** Dealt with, and no room given back for it yet. */
  returnable = 0;
  #unread = 0;
  #delivered = false;
  #assembly: MessageAssembly | undefined;
  /** A message was larger than the handler takes, so that it gets no more. */
  #isRefusing = false;
  #ending = false;
  #headGiven = false;
  #headSeen = false;
  #informationalSeen = 0;

  constructor(owner: StreamOwner, id: number, ours: boolean, head: LinkCallHead, sendWindow: number) {
    this.#owner = owner;
    this.id = id;
    this.ours = ours;
    this.openWaits = ours;
    this.head = head;
    this.sendWindow = sendWindow;
  }

  /** Whether a head would go out in a frame of its own now. */
  get headWaits(): boolean {
    return this.openWaits || this.answerHead !== undefined;
  }

  sendHead(fields: FieldList, informational = false): void {
    if (this.closed || this.ours || this.#headGiven || this.#ending) return;
    const fitting = fittingHead(fields, this.head.kind, informational, this.#owner.peer());
    if ("code" in fitting) return this.#cannotSend("head of the answer", fitting);
    const { outbox } = this.#owner;
    if (informational) return outbox.informational(this, fitting);
    this.#headGiven = true;
    this.answerHead = fitting;
    outbox.announce(this);
  }

  send(bytes: Uint8Array, endOfMessage = true): boolean {
    if (this.closed || this.#ending) return true;
    if (bytes.length === 0 && !endOfMessage) return this.firstPiece === undefined;
    this.#headGiven = true;
    return this.#owner.outbox.write(this, bytes, endOfMessage, undefined);
  }

  end(end: LinkEnd = okEnd, message?: Uint8Array): void {
    if (this.closed || this.#ending) return;
    const plain =
      end === okEnd || (end.code === 0 && end.message === "" && end.details === undefined && end.trailers.length === 0);
    const fitting = plain ? okEnd : fittingEnd(end, this.head.kind, this.#owner.peer());
    if (!("trailers" in fitting)) return this.#cannotSend("end of the call", fitting);
    this.#ending = true;
    this.#owner.outbox.write(this, message, message !== undefined, fitting);
  }

  reset(code: ResetCode, message = ""): void {
    if (this.closed) this.consume();
    else this.#owner.abandon(this, code, message);
  }

  consume(): void {
    this.#delivered = false;
    const unread = this.#unread;
    if (unread === 0) return;
    this.#unread = 0;
    this.#owner.release(this, unread);
  }

  expire(): void {
    const message = `the deadline of ${this.head.deadlineMs} ms has passed`;
    this.reset(resetCode.deadline, message);
    this.#owner.guard(() => this.handler.onReset(resetCode.deadline, message));
  }

  /** Queues a piece. A small view of a large chunk is copied, so that it does not keep the chunk. */
  enqueue(given: Uint8Array, endOfMessage: boolean): void {
    const bytes = given.buffer.byteLength > 2 * given.length + 1_024 ? Uint8Array.from(given) : given;
    const piece: Piece = { bytes, offset: 0, endOfMessage, next: undefined };
    if (this.lastPiece === undefined) this.firstPiece = piece;
    else this.lastPiece.next = piece;
    this.lastPiece = piece;
    this.queuedBytes += bytes.length;
  }

  /** The queue is empty again. */
  drained(): void {
    this.handler.onDrain?.();
  }

  /** Drops what waits to be sent, and returns how much room unread bytes took, unless somebody still reads them. */
  drop(stillRead: boolean): number {
    this.firstPiece = undefined;
    this.lastPiece = undefined;
    this.queuedBytes = 0;
    this.endPending = undefined;
    this.answerHead = undefined;
    if (stillRead) return 0;
    this.#assembly = undefined;
    const unread = this.#unread;
    this.#unread = 0;
    return unread;
  }

  /** @throws LinkFault if no head can come now */
  receiveHead(fields: FieldList, informational: boolean): void {
    if (this.ours === false || this.#headSeen) throw this.#fault("has a second head");
    if (informational) {
      this.#informationalSeen += 1;
      // More than anybody has a use for; each costs us something and the sender nothing.
      if (this.#informationalSeen > 64) throw this.#fault("has more than 64 informational heads");
    } else {
      this.#headSeen = true;
      if (this.head.kind !== callKind.http) refusePseudoFields(fields);
    }
    this.handler.onHead?.(fields, informational);
  }

  /** @throws LinkFault if there was no room for it */
  receiveData(bytes: Uint8Array, cost: number, endOfMessage: boolean): void {
    this.#headSeen = true;
    this.outstanding += cost;
    this.#unread += cost;
    if (this.outstanding > this.#owner.limits.streamWindowBytes) {
      throw new LinkFault(
        closeCode.flowControl,
        `stream ${this.id} has ${this.outstanding} bytes unread; at most ${this.#owner.limits.streamWindowBytes} were allowed`,
      );
    }
    const { handler } = this;
    // A body has no borders that could be waited for.
    if (handler.pieces === true || this.head.kind === callKind.http) {
      handler.onData(bytes, endOfMessage);
    } else if (this.#isRefusing) {
      this.consume();
    } else if (endOfMessage && this.#assembly === undefined && bytes.length <= this.#maxMessageBytes) {
      this.#delivered = true;
      handler.onData(bytes, true);
    } else {
      this.#assemble(bytes, endOfMessage);
    }
  }

  receiveEnd(end: LinkEnd): void {
    if (this.#assembly !== undefined) return this.#fail(resetCode.protocol, "the stream ended inside a message");
    this.handler.onEnd(end);
  }

  /** Tells the handler that the call is over. */
  receiveReset(code: ResetCode, message: string): void {
    this.handler.onReset(code, message);
  }

  get #maxMessageBytes(): number {
    return Math.min(this.#owner.limits.maxMessageBytes, this.handler.maxMessageBytes ?? Number.POSITIVE_INFINITY);
  }

  #assemble(bytes: Uint8Array, endOfMessage: boolean): void {
    this.#assembly ??= new MessageAssembly();
    const assembly = this.#assembly;
    if (assembly.size + bytes.length > this.#maxMessageBytes) return this.#tooLarge();
    assembly.push(bytes);
    if (endOfMessage) {
      this.#assembly = undefined;
      this.#delivered = true;
      this.handler.onData(assembly.take(), true);
    } else if (!this.#delivered) {
      // Nobody can consume a message that is not whole yet, and it may be larger than the window. But while messages wait
      // to be consumed the next one has to wait too, or they would pile up.
      this.consume();
    }
  }

  #tooLarge(): void {
    const { maxMessageBytes } = this.#owner.limits;
    if (this.#maxMessageBytes === maxMessageBytes) {
      return this.#fail(resetCode.tooLarge, `a message has more than ${maxMessageBytes} bytes`);
    }
    this.#assembly = undefined;
    this.#isRefusing = true;
    this.handler.onTooLarge?.();
    this.consume();
  }

  /** Ends the call because what there is to say cannot be sent. An HTTP exchange has no end that could tell of an error. */
  #cannotSend(what: string, { code, message }: HeadProblem): void {
    const reason = `${what}: ${message}`;
    if (this.head.kind === callKind.http) this.reset(code, reason);
    // 13 is `internal` among Connect's codes.
    else this.end({ ...okEnd, code: 13, message: reason });
  }

  #fail(code: ResetCode, message: string): void {
    this.reset(code, message);
    this.handler.onReset(code, message);
  }

  #fault(what: string): LinkFault {
    return new LinkFault(closeCode.protocol, `stream ${this.id} ${what}`);
  }
}
