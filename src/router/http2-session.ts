import { type ClientHttp2Session, connect, constants } from "node:http2";
import { connect as netConnect } from "node:net";
import type { Clock, Timer } from "../internal/clock.js";
import type { TargetAddress } from "./target-address.js";
import type { UpstreamFailure } from "./upstream.js";

// nghttp2 ends a session after about 1,000 resets in a burst, with all the calls on it. Long before that no more calls
// are put on it.
const maxResets = 500;
const streamWindowBytes = 256 * 1024;
const largestWindowBytes = 2 ** 31 - 1;

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
}

/** One HTTP/2 connection to a provider, with the count of what runs on it. */
export class UpstreamSession {
  readonly node: ClientHttp2Session;
  /** The streams above this number were not looked at by the peer; set by GOAWAY. */
  lastStreamId = Number.POSITIVE_INFINITY;
  #state: "connecting" | "open" | "retired" = "connecting";
  #connected = false;
  #active = 0;
  #resets = 0;
  #limit = 0;
  #timer: Timer | undefined;

  constructor(
    target: TargetAddress,
    readonly owner: SessionOwner,
    readonly options: Http2Options,
  ) {
    const { connect: connectInMemory, socketPath } = target;
    const createConnection =
      connectInMemory ?? (socketPath === undefined ? undefined : () => netConnect({ path: socketPath }));
    this.node = connect(`${target.secure ? "https" : "http"}://${target.authority}`, {
      settings: { enablePush: false, initialWindowSize: streamWindowBytes },
      // The default of 128 would reset answers with more fields than that.
      maxHeaderListPairs: 4_096,
      maxSessionMemory: 1_024,
      ...(createConnection === undefined ? {} : { createConnection: createConnection as never }),
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
    this.node.on("close", () => this.#onFailure(new Error("the connection was closed")));
    this.#timer = options.clock.after(options.connectTimeoutMs, () => {
      this.#onFailure(new Error(`no HTTP/2 connection within ${options.connectTimeoutMs} ms`), true);
      this.node.destroy();
    });
  }

  /** How many more calls the session takes now. */
  get capacity(): number {
    return this.#state === "open" ? this.#limit - this.#active : 0;
  }

  get connecting(): boolean {
    return this.#state === "connecting";
  }

  enter(): void {
    this.#active++;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#active === 1) this.node.ref();
  }

  /** A call is over; `wasReset` if this side ended it early. */
  leave(wasReset: boolean): void {
    this.#active--;
    if (wasReset && ++this.#resets >= maxResets) this.retire();
    if (this.#active > 0 || this.node.destroyed) return;
    if (this.#state === "retired") {
      this.node.close();
      return;
    }
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
    else if (this.#active === 0) this.node.close();
    this.owner.sessionRetired(this);
  }

  #onSettings(): void {
    const theirs = this.node.remoteSettings?.maxConcurrentStreams ?? Number.POSITIVE_INFINITY;
    this.#limit = Math.min(this.options.maxStreamsPerSession, theirs);
    if (this.#state !== "connecting") return;
    this.#state = "open";
    this.#timer?.cancel();
    this.#timer = undefined;
    this.owner.sessionReady(this);
  }

  #onFailure(error: Error, late = false): void {
    if (this.#state !== "connecting") {
      this.retire();
      return;
    }
    this.#state = "retired";
    this.#timer?.cancel();
    const kind = late && !this.#connected ? "timeout" : "unreachable";
    this.owner.sessionFailed(this, { kind, message: error.message }, this.#connected);
    this.owner.sessionRetired(this);
  }
}

/** The code with which a call is given up. */
export const cancelCode = constants.NGHTTP2_CANCEL;
