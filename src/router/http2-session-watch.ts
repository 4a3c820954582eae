import type { ClientHttp2Session } from "node:http2";
import type { Clock, Timer } from "../internal/clock.js";

/** How often the peer of a session with calls is asked whether it is still there. */
const askIntervalMs = 30_000;
/** How often is looked whether a session with calls still gets anything out. Costs nothing on the wire. */
const lookIntervalMs = 1_000;

/** What there is to know of a session. */
export interface WatchedSession {
  readonly node: ClientHttp2Session;
  readonly hasCalls: boolean;
  /** Bytes that have left so far; NaN if the connection does not count them. */
  readonly written: number;
  /** The peer is gone, or the session is of no use any more. */
  end(reason: string): void;
  /** The peer has shown that it is there, after a doubt. */
  trust(): void;
}

/**
 * Finds out whether a session still works. After an error of the connection's, nghttp2 says GOAWAY, and neither reads nor
 * writes any more; node:http2 of Node 20 tells nobody, and takes calls that never leave.
 */
export class SessionWatch {
  /** Set from a sign that the peer may be gone until it answers. */
  #isDoubtful = false;
  /** Limits the peer's answer, or waits for the next look. */
  #timer: Timer | undefined;
  #askAt = 0;
  /** What had left when something was last seen waiting to. */
  #stuckAt: number | undefined;

  constructor(
    readonly session: WatchedSession,
    readonly clock: Clock,
    /** How long the peer may take to show that it is there. */
    readonly answerTimeoutMs: number,
  ) {}

  get isDoubtful(): boolean {
    return this.#isDoubtful;
  }

  /** The session has calls. Idempotent. */
  begin(): void {
    if (this.#timer === undefined) this.#wait();
  }

  /** Something did not come in time: the peer has to show that it is there. */
  doubt(): void {
    if (this.#isDoubtful || this.session.node.destroyed) return;
    this.#isDoubtful = true;
    this.#ask();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #wait(): void {
    this.#askAt = this.clock.monotonic() + askIntervalMs;
    this.#stuckAt = undefined;
    this.#timer = this.clock.after(lookIntervalMs, this.#look);
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    const { node, hasCalls, written } = this.session;
    if (node.destroyed || !hasCalls) return;
    const isWaiting = (node.state.outboundQueueSize ?? 0) > 0;
    if (isWaiting && this.#stuckAt === written) return this.doubt();
    this.#stuckAt = isWaiting ? written : undefined;
    if (this.clock.monotonic() >= this.#askAt) return this.#ask();
    this.#timer = this.clock.after(lookIntervalMs, this.#look);
  };

  /** Asks the peer whether it is there, and ends the session with all its calls if it does not say so. */
  #ask(): void {
    const { session, answerTimeoutMs } = this;
    this.#timer?.cancel();
    const timer = this.clock.after(answerTimeoutMs, () =>
      session.end(`the provider did not show within ${answerTimeoutMs} ms that it is still there`),
    );
    this.#timer = timer;
    const answered = (error: Error | null): void => {
      // Cancelled, so nobody will answer this one: its time runs out, unless another was asked since.
      if (error !== null || this.#timer !== timer) return;
      timer.cancel();
      this.#timer = undefined;
      if (session.hasCalls) this.#wait();
      if (!this.#isDoubtful) return;
      this.#isDoubtful = false;
      session.trust();
    };
    // By settings that change nothing: they have to be answered, too (RFC 9113, 6.5.3). Servers in Go and Java take a ping more
    // often than every five minutes for abuse, and end the connection with all that is quiet on it; and node cancels each
    // ping of a session that takes no more calls, whose own may go on for long.
    session.node.settings({}, answered);
  }
}
