import { type ClientHttp2Session, connect, constants } from "node:http2";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { Clock, Timer } from "../internal/clock.js";
import { dial } from "./dial.js";
import { dialFailure } from "./dial-failure.js";
import type { TargetAddress } from "./target-address.js";
import type { UpstreamFailure } from "./upstream.js";

// nghttp2 ends a session after about 1,000 resets in a burst, with all the calls on it. Long before that no more calls
// are put on it.
const maxResets = 500;
const streamWindowBytes = 256 * 1024;
const largestWindowBytes = 2 ** 31 - 1;
/** How often the peer of a session with calls is asked whether it is still there. */
const pingIntervalMs = 30_000;
/** How long a peer may take to end a connection that this side has ended. */
const closeTimeoutMs = 1_000;

/** What HTTP/2 calls of one provider share. */
export interface Http2Options {
  readonly clock: Clock;
  /** How long connection and SETTINGS may take together. */
  readonly connectTimeoutMs: number;
  readonly idleSessionMs: number;
  readonly maxStreamsPerSession: number;
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
export class UpstreamSession {
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
  /** Set from a sign that the peer may be gone until it answers a ping. */
  #isDoubtful = false;
  /** Limits the answer to a ping, or waits for the next one. */
  #pingTimer: Timer | undefined;
  #socket: Duplex | undefined;

  constructor(
    target: TargetAddress,
    readonly owner: SessionOwner,
    readonly options: Http2Options,
  ) {
    this.node = connect(`${target.secure ? "https" : "http"}://${target.authority}`, {
      settings: { enablePush: false, initialWindowSize: streamWindowBytes },
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
      this.#pingTimer?.cancel();
      this.#onFailure(new Error("the connection was closed"));
    });
    this.#timer = options.clock.after(options.connectTimeoutMs, () => {
      this.#onFailure(new Error(`no HTTP/2 connection within ${options.connectTimeoutMs} ms`), true);
      this.node.destroy();
    });
  }

  /** How many more calls the session takes now. */
  get capacity(): number {
    return this.#state === "open" && !this.#isDoubtful ? this.#limit - this.#active : 0;
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
    this.#pingTimer ??= this.options.clock.after(pingIntervalMs, this.#ping);
  }

  /** Something did not come in time: until the peer shows that it is there, others take the calls. */
  doubt(): void {
    if (this.#isDoubtful || this.#state === "connecting" || this.node.destroyed) return;
    this.#isDoubtful = true;
    this.#ping();
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

  /** Asks the peer whether it is there, and ends the session with all its calls if it does not say so. */
  readonly #ping = (): void => {
    this.#pingTimer?.cancel();
    this.#pingTimer = undefined;
    if (this.node.destroyed || (this.#active === 0 && !this.#isDoubtful)) return;
    const { clock, connectTimeoutMs } = this.options;
    const timer = clock.after(connectTimeoutMs, () => {
      this.node.destroy(new Error(`the provider did not answer a ping within ${connectTimeoutMs} ms`));
    });
    this.#pingTimer = timer;
    // Refused while too many pings are under way, and then one of them will tell.
    this.node.ping((error) => {
      timer.cancel();
      if (error !== null) return;
      this.#pingTimer = this.#active > 0 ? clock.after(pingIntervalMs, this.#ping) : undefined;
      if (!this.#isDoubtful) return;
      this.#isDoubtful = false;
      this.owner.placeWaiting();
    });
  };

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
