import { frameFlag, frameType, pieceBytes, pieceOverheadBytes, resetCode } from "./frame.js";
import { FrameWriter } from "./frame-writer.js";
import { writeAnswerHead } from "./head-codec.js";
import type { PeerLimits } from "./hello.js";
import type { LinkEnd } from "./link-stream.js";
import type { LinkTransport } from "./link-transport.js";
import type { Piece, StreamCore } from "./stream-core.js";
import { type FrameContent, noContent, writeStreamFrame } from "./stream-frame.js";
import { SendTable } from "./text-table.js";
import { WaitingEnds } from "./waiting-ends.js";

// A batch is handed to the transport when it has this much; one frame may go beyond.
const maxBatchBytes = 65_536;

// This much leaves at once, so that the other side can begin with it while we go on: with everything at the end of the tick,
// of three programs that pass on calls only one at a time would have something to do. About what fits in a packet.
const promptBytes = 1_200;

// What may gather while the transport takes nothing: frames about windows, refusals and the like. Messages wait elsewhere.
const maxBlockedBytes = 1_048_576;

/** What an outbox tells the session. */
export interface OutboxEvents {
  /** The first frame of a call of ours has been written. */
  opened(stream: StreamCore): void;
  /** The last frame of our direction has been written. */
  ended(stream: StreamCore): void;
  /** The transport has begun to refuse bytes, or takes them again. */
  blocked(blocked: boolean): void;
  /** More answers to frames of the other side have gathered than it could fairly ask for while it takes none. */
  overflow(): void;
  /** A handler has thrown. */
  failed(error: unknown): void;
}

/**
 * Everything that a link sends: frames of one tick leave in few writes, streams that have more to send than fits take turns
 * by pieces, and what a window or the transport has no room for stays with its stream.
 */
export class Outbox {
  readonly writer = new FrameWriter();
  readonly #transport: LinkTransport;
  readonly #events: OutboxEvents;
  #table = new SendTable(0);
  #linkWindow = 0;
  #first: StreamCore | undefined;
  #last: StreamCore | undefined;
  /** Streams whose head may have to go out alone. */
  #heads: StreamCore[] = [];
  readonly #waitForLink = new Set<StreamCore>();
  readonly #ends = new WaitingEnds();
  #scheduled = false;
  #blocked = false;
  #stopped = false;
  #overflowed = false;
  #bytesSent = 0;

  constructor(transport: LinkTransport, events: OutboxEvents) {
    this.#transport = transport;
    this.#events = events;
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** What all streams together may still send. */
  get linkWindow(): number {
    return this.#linkWindow;
  }

  /** From now on streams may be written. */
  greet(peer: PeerLimits): void {
    this.#table = new SendTable(Math.min(peer.tableSlots, 1_024));
    this.#linkWindow = peer.linkWindowBytes;
  }

  /**
   * Sends a piece, an end, or both. At once if nobody else waits, otherwise in turn. False: it waits.
   */
  write(stream: StreamCore, bytes: Uint8Array | undefined, endOfMessage: boolean, end: LinkEnd | undefined): boolean {
    if (this.#first === undefined && stream.firstPiece === undefined && stream.id !== 0 && this.#open) {
      const length = bytes === undefined ? 0 : bytes.length;
      const cost = bytes === undefined ? 0 : length + pieceOverheadBytes;
      if (length <= pieceBytes && cost <= stream.sendWindow && cost <= this.#linkWindow) {
        this.#frame(stream, { bytes, from: 0, to: length, endOfMessage }, end);
        if (this.writer.size >= promptBytes) this.#sendBatch();
        else this.#requestFlush();
        return true;
      }
    }
    if (end !== undefined) stream.endPending = this.#ends.enter(end);
    if (bytes !== undefined) stream.enqueue(bytes, endOfMessage);
    this.activate(stream);
    return false;
  }

  /** Lets a head go out by itself at the end of the tick, unless something is sent with it before. */
  announce(stream: StreamCore): void {
    this.#heads.push(stream);
    this.#requestFlush();
  }

  /** Lets a stream send what it can in its turn. */
  activate(stream: StreamCore): void {
    if (!stream.active && stream.id !== 0) {
      stream.active = true;
      stream.nextActive = undefined;
      if (this.#last === undefined) this.#first = stream;
      else this.#last.nextActive = stream;
      this.#last = stream;
    }
    this.#requestFlush();
  }

  /** More room for one stream. */
  grantStream(stream: StreamCore, bytes: number): void {
    stream.sendWindow += bytes;
    if (stream.firstPiece !== undefined) this.activate(stream);
  }

  /** More room for all. */
  grantLink(bytes: number): void {
    this.#linkWindow += bytes;
    if (this.#waitForLink.size === 0) return;
    const waiting = [...this.#waitForLink];
    this.#waitForLink.clear();
    for (const stream of waiting) if (!stream.closed) this.activate(stream);
  }

  /** Writes a 1xx answer. */
  informational(stream: StreamCore, fields: readonly string[]): void {
    this.writer.begin(frameType.part, frameFlag.head | frameFlag.informational, stream.id);
    writeAnswerHead(this.writer, this.#table, fields);
    this.writer.finish();
    this.#requestFlush();
  }

  /** To be called after a frame was written to `writer` directly. */
  written(): void {
    if (this.#blocked && this.writer.size > maxBlockedBytes && !this.#overflowed) {
      // Once: the session's last word comes through here too.
      this.#overflowed = true;
      this.#events.overflow();
    }
    this.#requestFlush();
  }

  /** Forgets a stream that is over. */
  forget(stream: StreamCore): void {
    this.#endLeaves(stream);
    if (this.#waitForLink.size > 0) this.#waitForLink.delete(stream);
  }

  /** The transport takes bytes again. */
  drained(): void {
    if (this.#stopped || !this.#blocked) return;
    this.#blocked = false;
    this.#events.blocked(false);
    this.flush();
  }

  /** Sends what is encoded, whatever the transport thinks of it, and nothing ever after. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#first = undefined;
    this.#last = undefined;
    this.#waitForLink.clear();
    if (this.writer.size > 0) this.#sendBatch();
  }

  /** Sends as much as the transport takes. */
  readonly flush = (): void => {
    this.#scheduled = false;
    if (this.#heads.length > 0 && !this.#stopped && !this.#blocked) this.#writeHeads();
    while (!this.#stopped && !this.#blocked) {
      const stream = this.writer.size < maxBatchBytes ? this.#takeTurn() : undefined;
      if (stream !== undefined) {
        if (!stream.closed && this.#writeNext(stream)) this.activate(stream);
      } else if (this.writer.size > 0) {
        this.#sendBatch();
      } else {
        return;
      }
    }
  };

  get #open(): boolean {
    return !this.#blocked && this.writer.size < maxBatchBytes;
  }

  #requestFlush(): void {
    if (this.#scheduled || this.#blocked || this.#stopped) return;
    this.#scheduled = true;
    // After everything that this tick does, promises included, and before the process looks for new events: calls that are
    // made together leave together, and one alone does not wait.
    process.nextTick(this.flush);
  }

  #writeHeads(): void {
    const heads = this.#heads;
    this.#heads = [];
    for (const stream of heads) {
      if (stream.closed || !stream.headWaits || stream.id === 0) continue;
      // One with more to send has its turn coming, and the head goes with that.
      if (!stream.active) this.#frame(stream, noContent, undefined);
    }
  }

  #sendBatch(): void {
    const batch = this.writer.take();
    this.#bytesSent += batch.length;
    if (this.#transport.send(batch) || this.#stopped) return;
    this.#blocked = true;
    this.#events.blocked(true);
  }

  #takeTurn(): StreamCore | undefined {
    const stream = this.#first;
    if (stream === undefined) return undefined;
    this.#first = stream.nextActive;
    if (this.#first === undefined) this.#last = undefined;
    stream.nextActive = undefined;
    stream.active = false;
    return stream;
  }

  /** Writes a stream's next frame; true if it could write another one. */
  #writeNext(stream: StreamCore): boolean {
    const piece = stream.firstPiece;
    if (piece === undefined) {
      const end = stream.endPending;
      if (end !== undefined || stream.headWaits) this.#frame(stream, noContent, end);
      return false;
    }
    const left = piece.bytes.length - piece.offset;
    const room = Math.min(stream.sendWindow, this.#linkWindow) - pieceOverheadBytes;
    if (room < 0 || (room === 0 && left > 0)) {
      if (stream.headWaits) this.#frame(stream, noContent, undefined);
      // Otherwise room for the stream itself comes with its own frame.
      if (stream.sendWindow > pieceOverheadBytes) this.#waitForLink.add(stream);
      return false;
    }
    return this.#writePiece(stream, piece, Math.min(left, room, pieceBytes));
  }

  #writePiece(stream: StreamCore, piece: Piece, length: number): boolean {
    const to = piece.offset + length;
    const whole = to === piece.bytes.length;
    const end = whole && piece.next === undefined ? stream.endPending : undefined;
    const { bytes, offset } = piece;
    this.#frame(stream, { bytes, from: offset, to, endOfMessage: whole && piece.endOfMessage }, end);
    piece.offset = to;
    stream.queuedBytes -= length;
    if (!whole) return true;
    stream.firstPiece = piece.next;
    if (piece.next !== undefined) return true;
    stream.lastPiece = undefined;
    if (end === undefined) this.#drainedStream(stream);
    return false;
  }

  #drainedStream(stream: StreamCore): void {
    try {
      stream.drained();
    } catch (error) {
      this.#events.failed(error);
      stream.reset(resetCode.internal, "the sender failed");
    }
  }

  #frame(stream: StreamCore, content: FrameContent, end: LinkEnd | undefined): void {
    if (stream.openWaits) this.#events.opened(stream);
    const cost = writeStreamFrame(this.writer, this.#table, stream, content, end);
    stream.sendWindow -= cost;
    this.#linkWindow -= cost;
    if (end === undefined) return;
    this.#endLeaves(stream);
    this.#events.ended(stream);
  }

  #endLeaves(stream: StreamCore): void {
    if (stream.endPending === undefined) return;
    this.#ends.leave(stream.endPending);
    stream.endPending = undefined;
  }
}
