import { type ClientHttp2Session, connect, constants } from "node:http2";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { Clock, Timer } from "../internal/clock.js";
import { dial } from "./dial.js";
import { dialFailure } from "./dial-failure.js";
import { SessionWatch, type WatchedSession } from "./http2-session-watch.js";
import type { TargetAddress } from "./target-address.js";
import type { UpstreamFailure } from "./upstream.js";

// nghttp2 ends a session after about 1,000 resets in a burst, with all the calls on it. Long before that no more calls
// are put on it.
const maxResets = 500;
const streamWindowBytes = 256 * 1024;
const largestWindowBytes = 2 ** 31 - 1;
/**
 * A head may be this many times too large before the peer is told not to send it: it counts more for a field than this side
 * does. node:http2 itself cuts the stream off then, and one that is shorter than the least list is measured with its call.
 */
const listPerHeadBytes = 4;
const leastListBytes = 256 * 1024;
/** The longest list of fields that node:http2 takes, whatever it is told. */
const longestListBytes = 16 * 1024 * 1024 - 1;
/** How long a peer may take to end a connection that this side has ended. */
const closeTimeoutMs = 1_000;

/** What HTTP/2 calls of one provider share. */
export interface Http2Options {
  readonly clock: Clock;
  /** How long connection and SETTINGS may take together. */
  readonly connectTimeoutMs: number;
  readonly idleSessionMs: number;
  readonly maxStreamsPerSession: number;
  /** The largest head of an answer, counted as it would be in HTTP/1.1. Trailers have the same limit. */
  readonly maxHeaderBytes: number;
}

/** Gets the news of one session. */
export interface SessionOwner {
  /** The peer has sent its SETTINGS: it speaks HTTP/2, and `capacity` holds. */
  sessionReady(session: UpstreamSession): void;
  /** No connection, or no HTTP/2 on it. Nothing of any call was sent. */
  sessionFailed(session: UpstreamSession, failure: UpstreamFailure, spokeOtherwise: boolean): void;
  /** The session takes no more calls. */
  sessionRetired(session: UpstreamSession): void;
  /** The session may have room again. */
  placeWaiting(): void;
}

/** One HTTP/2 connection to a provider, with the count of what runs on it. */
export class UpstreamSession implements WatchedSession {
  readonly node: ClientHttp2Session;
  /** The streams above this number were not looked at by the peer; set by GOAWAY. */
  lastStreamId = Number.POSITIVE_INFINITY;
  #state: "connecting" | "open" | "retired" = "connecting";
  #connected = false;
  /** Over TLS: whether the peer has chosen another protocol. In cleartext only its silence tells. */
  #speaksOtherwise: boolean | undefined;
  #active = 0;
  #resets = 0;
  #limit = 0;
  /** Limits connecting, then idling. */
  #timer: Timer | undefined;
  readonly #watch: SessionWatch;
  #socket: Duplex | undefined;
  /** What had left when this side ended the session: a last word of it is no part of any call. */
  #writtenAtEnd: number | undefined;

  constructor(
    target: TargetAddress,
    readonly owner: SessionOwner,
    readonly options: Http2Options,
  ) {
    const { clock, connectTimeoutMs, maxHeaderBytes } = options;
    const maxHeaderListSize = Math.min(Math.max(listPerHeadBytes * maxHeaderBytes, leastListBytes), longestListBytes);
    this.#watch = new SessionWatch(this, clock, connectTimeoutMs);
    this.node = connect(`${target.secure ? "https" : "http"}://${target.authority}`, {
      settings: { enablePush: false, initialWindowSize: streamWindowBytes, maxHeaderListSize },
      // The default of 128 would reset answers with more fields than that.
      maxHeaderListPairs: 4_096,
      maxSessionMemory: 1_024,
      createConnection: () => this.#dial(target),
    } as never);
    this.node.on("connect", () => {
      this.#connected = true;
      // A caller that does not read holds back its own stream's window only, as long as all of them fit in here.
      const window = Math.min(largestWindowBytes, streamWindowBytes * (options.maxStreamsPerSession + 1));
      if (!this.node.destroyed) this.node.setLocalWindowSize(window);
    });
    this.node.on("remoteSettings", () => this.#onSettings());
    this.node.on("goaway", (_code: number, lastStreamId: number) => {
      this.lastStreamId = lastStreamId;
      this.retire();
    });
    this.node.on("error", (error) => this.#onFailure(error));
    this.node.on("close", () => {
      this.#watch.stop();
      this.#onFailure(new Error("the connection was closed"));
    });
    this.#timer = clock.after(connectTimeoutMs, () => {
      this.#onFailure(new Error(`no HTTP/2 connection within ${connectTimeoutMs} ms`), true);
      this.node.destroy();
    });
  }

  /** How many more calls the session takes now. */
  get capacity(): number {
    return this.#state === "open" && !this.#watch.isDoubtful ? this.#limit - this.#active : 0;
  }

  get hasCalls(): boolean {
    return this.#active > 0;
  }

  /** Bytes that have left so far; NaN if the connection does not count them. */
  get written(): number {
    return this.#writtenAtEnd ?? (this.#socket as Socket | undefined)?.bytesWritten ?? Number.NaN;
  }

  get connecting(): boolean {
    return this.#state === "connecting";
  }

  enter(): void {
    this.#active++;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#active > 1) return;
    this.node.ref();
    this.#watch.begin();
  }

  /** Something did not come in time: until the peer shows that it is there, others take the calls. */
  doubt(): void {
    if (this.#state !== "connecting") this.#watch.doubt();
  }

  /** The peer has shown that it is there, after a doubt. */
  trust(): void {
    this.owner.placeWaiting();
  }

  /** Ends the session with all its calls: it leads nowhere any more. */
  end(reason: string): void {
    if (this.node.destroyed) return;
    this.#writtenAtEnd = this.written;
    this.node.destroy(new Error(reason));
  }

  /** A call is over; `wasReset` if this side ended it early. */
  leave(wasReset: boolean): void {
    this.#active--;
    if (wasReset && ++this.#resets >= maxResets) this.retire();
    if (this.#active > 0 || this.node.destroyed) return;
    if (this.#state === "retired") {
      this.#close();
      return;
    }
    this.#idle();
  }

  #idle(): void {
    this.node.unref();
    this.#timer = this.options.clock.after(this.options.idleSessionMs, () => this.retire());
  }

  /** Takes no more calls and closes when the last one is over. Idempotent. */
  retire(): void {
    if (this.#state === "retired") return;
    const wasConnecting = this.#state === "connecting";
    this.#state = "retired";
    this.#timer?.cancel();
    this.#timer = undefined;
    if (wasConnecting) this.node.destroy();
    // Not `close()` while calls run: it would refuse the trailers and resets that they still send.
    else if (this.#active === 0) this.#close();
    this.owner.sessionRetired(this);
  }

  #close(): void {
    this.node.close();
    // Node waits for the peer's end, which a peer that is gone, or forgets it, never sends.
    const timer = this.options.clock.after(closeTimeoutMs, () => this.#socket?.destroy());
    this.#socket?.once("close", () => timer.cancel());
  }

  #dial(target: TargetAddress): Duplex {
    // With the other protocol offered, too, a server without HTTP/2 says so by its choice instead of by a broken handshake.
    const socket = dial(target, ["h2", "http/1.1"]);
    this.#socket = socket;
    if (!target.secure) return socket;
    this.#speaksOtherwise = false;
    socket.once("secureConnect", () => this.#onSecure(socket as TLSSocket));
    // node:http2 would tell only that the connection was closed, where a peer refuses this side's certificate.
    socket.once("error", (error) => this.#onFailure(error));
    return socket;
  }

  /** Before node:http2 writes anything: its listener comes later. */
  #onSecure({ alpnProtocol }: TLSSocket): void {
    this.#connected = true;
    if (alpnProtocol === "h2") return;
    this.#speaksOtherwise = true;
    this.#onFailure(new Error("it does not speak HTTP/2 over TLS"));
    this.node.destroy();
  }

  #onSettings(): void {
    const theirs = this.node.remoteSettings?.maxConcurrentStreams ?? Number.POSITIVE_INFINITY;
    this.#limit = Math.min(this.options.maxStreamsPerSession, theirs);
    if (this.#state !== "connecting") return;
    this.#state = "open";
    this.#timer?.cancel();
    this.#timer = undefined;
    this.owner.sessionReady(this);
    // Whoever wanted it may have gone meanwhile, and nobody else may come.
    if (this.#active === 0 && this.capacity > 0) this.#idle();
  }

  #onFailure(error: Error, late = false): void {
    if (this.#state !== "connecting") {
      this.retire();
      return;
    }
    this.#state = "retired";
    this.#timer?.cancel();
    const failure: UpstreamFailure =
      late && !this.#connected ? { kind: "timeout", message: error.message } : dialFailure(error);
    this.owner.sessionFailed(this, failure, this.#speaksOtherwise ?? this.#connected);
    this.owner.sessionRetired(this);
  }
}

/** The code with which a call is given up. */
export const cancelCode = constants.NGHTTP2_CANCEL;
