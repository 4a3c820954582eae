import type { Clock } from "../../src/internal/clock.js";
import type { LinkLimits } from "../../src/link/link-limits.js";
import { LinkSession } from "../../src/link/link-session.js";
import type { LinkCloseReason } from "../../src/link/link-session-options.js";
import type { LinkStream, LinkStreamHandler } from "../../src/link/link-stream.js";
import type { LinkTransport, LinkTransportEvents } from "../../src/link/link-transport.js";
import { manualClock } from "./manual-clock.js";

/** One end of a connection in memory whose bytes move only when told to. */
export class HeldTransport implements LinkTransport {
  events: LinkTransportEvents | undefined;
  peer: HeldTransport | undefined;
  /** Batches that were sent and not delivered. */
  readonly sent: Uint8Array[] = [];
  /** How many bytes may wait before `send` says no. */
  capacityBytes = Number.POSITIVE_INFINITY;
  closing = false;
  destroyed = false;
  #closed = false;
  #full = false;

  get waitingBytes(): number {
    return this.sent.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  start(events: LinkTransportEvents): void {
    this.events = events;
  }

  send(bytes: Uint8Array): boolean {
    this.sent.push(bytes);
    this.#full = this.waitingBytes > this.capacityBytes;
    return !this.#full;
  }

  close(): void {
    this.closing = true;
  }

  destroy(): void {
    this.destroyed = true;
    this.sent.length = 0;
    this.cut();
  }

  /** Ends both ends as a lost connection does. */
  cut(error?: Error): void {
    for (const end of [this, this.peer]) {
      if (end === undefined || end.#closed) continue;
      end.#closed = true;
      end.events?.close(error);
    }
  }

  /** Delivers what was sent so far, in one chunk or cut as `split` says. Returns whether there was anything. */
  deliver(split: (bytes: Uint8Array) => readonly Uint8Array[] = (bytes) => [bytes]): boolean {
    const batches = this.sent.splice(0);
    for (const batch of batches) for (const part of split(batch)) this.peer?.events?.data(part);
    if (this.#full && this.waitingBytes <= this.capacityBytes) {
      this.#full = false;
      this.events?.drain();
    }
    if (this.closing && this.sent.length === 0) this.cut();
    return batches.length > 0;
  }
}

/** What a handler of {@link recorder} has heard. */
export interface Recorded extends LinkStreamHandler {
  readonly log: string[];
  readonly messages: Uint8Array[];
  stream: LinkStream | undefined;
  /** Whether messages are consumed as they come. */
  consumes: boolean;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

/** A handler that writes down what it hears. */
export function recorder(more: Partial<LinkStreamHandler> = {}, consumes = true): Recorded {
  const recorded: Recorded = {
    log: [],
    messages: [],
    stream: undefined,
    consumes,
    onHead: (fields, informational) => void recorded.log.push(`${informational ? "1xx" : "head"} ${fields.join(" ")}`),
    onData(bytes, endOfMessage) {
      recorded.messages.push(Uint8Array.from(bytes));
      recorded.log.push(`${endOfMessage ? "data" : "piece"} ${bytes.length > 40 ? bytes.length : text(bytes)}`);
      if (recorded.consumes) recorded.stream?.consume();
    },
    onEnd: (end) => void recorded.log.push(`end ${end.code} ${end.message} ${end.trailers.join(" ")}`.trim()),
    onReset: (code, message) => void recorded.log.push(`reset ${code} ${message}`),
    onDrain: () => void recorded.log.push("drain"),
    ...more,
  };
  return recorded;
}

/** One end of a pair with what it was told. */
export interface LinkEndpoint {
  readonly session: LinkSession;
  readonly transport: HeldTransport;
  /** Calls that came in, with the handlers that took them. */
  readonly calls: { readonly stream: LinkStream; readonly handler: Recorded }[];
  readonly closed: LinkCloseReason[];
  readonly goneAway: string[];
  readonly errors: unknown[];
}

/** How a pair is made. */
export interface LinkPairOptions {
  readonly clock?: Clock;
  /** Of the acceptor; otherwise `clock`. */
  readonly acceptorClock?: Clock;
  readonly limits?: Partial<LinkLimits>;
  /** Of the acceptor; otherwise `limits`. */
  readonly acceptorLimits?: Partial<LinkLimits>;
  /** Takes the acceptor's calls; otherwise they are written down. */
  readonly onCall?: (stream: LinkStream) => LinkStreamHandler;
  readonly consumes?: boolean;
}

/** Two sessions joined in memory. */
export interface LinkPair {
  readonly dialler: LinkEndpoint;
  readonly acceptor: LinkEndpoint;
  /** Lets both sides send and delivers until neither has anything to say. */
  settle(split?: (bytes: Uint8Array) => readonly Uint8Array[]): Promise<void>;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Two ends that have not greeted each other yet. */
export function linkPair(options: LinkPairOptions = {}): LinkPair {
  const clock = options.clock ?? manualClock();
  const [one, other] = [new HeldTransport(), new HeldTransport()];
  one.peer = other;
  other.peer = one;
  const endpoint = (role: "dialler" | "acceptor", transport: HeldTransport): LinkEndpoint => {
    const limits = (role === "acceptor" ? options.acceptorLimits : undefined) ?? options.limits;
    const calls: { stream: LinkStream; handler: Recorded }[] = [];
    const [closed, goneAway, errors]: [LinkCloseReason[], string[], unknown[]] = [[], [], []];
    const session = new LinkSession(transport, {
      role,
      clock: role === "acceptor" ? (options.acceptorClock ?? clock) : clock,
      ...(limits === undefined ? {} : { limits }),
      onCall(stream) {
        if (role === "acceptor" && options.onCall !== undefined) return options.onCall(stream);
        const handler = recorder({}, options.consumes);
        handler.stream = stream;
        calls.push({ stream, handler });
        return handler;
      },
      onClose: (reason) => void closed.push(reason),
      onGoAway: (message) => void goneAway.push(message),
      onError: (error) => void errors.push(error),
    });
    return { session, transport, calls, closed, goneAway, errors };
  };
  const pair = { dialler: endpoint("dialler", one), acceptor: endpoint("acceptor", other) };
  return {
    ...pair,
    async settle(split) {
      for (let moved = true; moved; ) {
        await nextTurn();
        moved = one.deliver(split);
        moved = other.deliver(split) || moved;
      }
    },
  };
}

/** Two ends that have greeted each other. */
export async function openLinkPair(options: LinkPairOptions = {}): Promise<LinkPair> {
  const pair = linkPair(options);
  await pair.settle();
  return pair;
}
