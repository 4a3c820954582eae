import type { FieldList } from "../http/exchange.js";
import type { Clock } from "../internal/clock.js";
import { TokenBuckets } from "../internal/token-bucket.js";
import {
  type CloseCode,
  closeCode,
  frameFlag,
  frameType,
  LinkFault,
  longestReasonBytes,
  pieceOverheadBytes,
  type ResetCode,
  resetCode,
} from "./frame.js";
import { FrameDecoder, type FrameSink } from "./frame-decoder.js";
import { okEnd, readAnswerHead, readCallHead, readEnd } from "./head-codec.js";
import { type PeerLimits, readHello } from "./hello.js";
import { type LinkLimits, maxWindowBytes } from "./link-limits.js";
import type { LinkCallHead, LinkEnd } from "./link-stream.js";
import { SectionReader } from "./section-reader.js";
import { ReceiveTable } from "./text-table.js";

/** What an `open` or `part` frame carried beside heads. */
export interface Content {
  /** Undefined if the frame has no bytes and ends no message. */
  readonly bytes: Uint8Array | undefined;
  /** What the bytes cost in windows. */
  readonly cost: number;
  readonly endOfMessage: boolean;
  readonly end: LinkEnd | undefined;
}

/** Gets what the frames say. */
export interface InboxEvents {
  /** Whether the session has ended, so that nothing more is decoded. */
  ended(): boolean;
  hello(peer: PeerLimits): void;
  open(id: number, head: LinkCallHead, content: Content): void;
  part(id: number, head: FieldList | undefined, informational: boolean, content: Content): void;
  reset(id: number, code: ResetCode, message: string): void;
  window(id: number, bytes: number): void;
  ping(payload: Uint8Array): void;
  goAway(code: CloseCode, callsTaken: number, message: string): void;
}

const openFlags = frameFlag.endOfMessage | frameFlag.endOfStream | frameFlag.end;
const partFlags = openFlags | frameFlag.head | frameFlag.informational;

/** Turns bytes into events, and refuses what the protocol does not allow. */
export class Inbox implements FrameSink {
  readonly #events: InboxEvents;
  readonly #limits: LinkLimits;
  readonly #decoder: FrameDecoder;
  readonly #reader = new SectionReader();
  readonly #table: ReceiveTable;
  readonly #budgets: { readonly resets: TokenBuckets | undefined; readonly pings: TokenBuckets | undefined };
  #greeted = false;

  constructor(events: InboxEvents, limits: LinkLimits, clock: Clock) {
    this.#events = events;
    this.#limits = limits;
    this.#decoder = new FrameDecoder(this, limits.maxFrameBytes);
    this.#table = new ReceiveTable(limits.tableSlots);
    const budget = (perSecond: number) =>
      perSecond === Number.POSITIVE_INFINITY
        ? undefined
        : new TokenBuckets({ perSecond, burst: perSecond }, () => clock.monotonic());
    this.#budgets = { resets: budget(limits.maxResetsPerSecond), pings: budget(limits.maxPingsPerSecond) };
  }

  /** @throws LinkFault if the other side breaks the rules */
  push(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
  }

  /**
   * Counts something that costs the other side nothing.
   *
   * @throws LinkFault if there was too much of it
   */
  spend(what: "resets" | "pings"): void {
    if ((this.#budgets[what]?.take(what) ?? 0) > 0) {
      throw new LinkFault(closeCode.limit, `too many ${what} in a second`);
    }
  }

  frame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): boolean {
    if (type === frameType.part && this.#greeted) this.#part(flags, id, bytes, from, to);
    else if (type === frameType.open && this.#greeted) this.#open(flags, id, bytes, from, to);
    else this.#control(type, id, bytes, from, to);
    return !this.#events.ended();
  }

  #open(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if ((flags & ~openFlags) !== 0) throw unknownFlags("open", flags);
    const reader = this.#reader;
    reader.reset(bytes, from, to);
    const head = readCallHead(reader, this.#table, this.#limits);
    this.#events.open(id, head, this.#content(flags, bytes, to));
  }

  #part(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if ((flags & ~partFlags) !== 0) throw unknownFlags("part", flags);
    const informational = (flags & frameFlag.informational) !== 0;
    if (flags === 0 && from === to) throw new LinkFault(closeCode.protocol, `a part of stream ${id} says nothing`);
    if (informational && (flags !== (frameFlag.informational | frameFlag.head) || from === to)) {
      throw new LinkFault(closeCode.protocol, `an informational head of stream ${id} has more than fields`);
    }
    const reader = this.#reader;
    reader.reset(bytes, from, to);
    const head = (flags & frameFlag.head) === 0 ? undefined : readAnswerHead(reader, this.#table, this.#limits);
    this.#events.part(id, head, informational, this.#content(flags, bytes, to));
  }

  #content(flags: number, bytes: Buffer, to: number): Content {
    let end: LinkEnd | undefined;
    if ((flags & frameFlag.end) !== 0) end = readEnd(this.#reader, this.#table, this.#limits);
    else if ((flags & frameFlag.endOfStream) !== 0) end = okEnd;
    const endOfMessage = (flags & frameFlag.endOfMessage) !== 0;
    const { at } = this.#reader;
    if (!endOfMessage && at === to) return { bytes: undefined, cost: 0, endOfMessage, end };
    return { bytes: bytes.subarray(at, to), cost: to - at + pieceOverheadBytes, endOfMessage, end };
  }

  /** What is left up to `to`, if that is not too much: it goes on to callers, and is kept with errors. */
  #reason(to: number): string {
    return this.#reader.text(Math.min(to - this.#reader.at, longestReasonBytes));
  }

  #control(type: number, id: number, bytes: Buffer, from: number, to: number): void {
    const reader = this.#reader;
    reader.reset(bytes, from, to);
    if (!this.#greeted) {
      if (type !== frameType.hello || id !== 0) {
        throw new LinkFault(closeCode.protocol, `the first frame is of type ${type}; it must be hello`);
      }
      this.#greeted = true;
      return this.#events.hello(readHello(reader));
    }
    switch (type) {
      case frameType.window: {
        const room = reader.uint(4);
        if (room === 0 || room > maxWindowBytes) throw new LinkFault(closeCode.flowControl, `a window grew by ${room}`);
        return this.#events.window(id, room);
      }
      case frameType.reset: {
        this.spend("resets");
        const code = reader.uint(2);
        const message = this.#reason(to);
        return this.#events.reset(id, code <= resetCode.protocol ? (code as ResetCode) : resetCode.internal, message);
      }
      case frameType.ping:
        this.spend("pings");
        return this.#events.ping(reader.bytes(8));
      case frameType.pong:
        // That something came is all there is to it.
        return this.spend("pings");
      case frameType.goAway: {
        this.spend("pings");
        const code = reader.uint(2);
        const taken = reader.uint(6);
        const message = this.#reason(to);
        return this.#events.goAway(code < closeCode.lost ? (code as CloseCode) : closeCode.internal, taken, message);
      }
      case frameType.hello:
        throw new LinkFault(closeCode.protocol, "a second hello");
      default:
        // A later version's. Skipped, but not for free.
        this.spend("pings");
    }
  }
}

function unknownFlags(frame: string, flags: number): LinkFault {
  return new LinkFault(closeCode.protocol, `flags ${flags} of a frame of type ${frame} are not known`);
}
