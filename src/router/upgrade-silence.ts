import type { Duplex } from "node:stream";
import type { Timer } from "../internal/clock.js";
import type { Tunnel } from "./tunnel.js";

/**
 * Counts the bytes of both directions, and cuts both connections off when none has moved for too long: for as long as
 * the option `idleStreamMs` says while both are open, for `headersTimeoutMs` once one side has ended its direction.
 */
export class SilenceLimit {
  readonly #tunnel: Tunnel;
  #peer: Duplex | undefined;
  #movedAt = 0;
  #isHalfOpen = false;
  #timer: Timer | undefined;

  constructor(tunnel: Tunnel) {
    this.#tunnel = tunnel;
  }

  watch(peer: Duplex): void {
    const { socket, account, context } = this.#tunnel;
    this.#peer = peer;
    this.#movedAt = context.clock.monotonic();
    const halfOpen = (): void => {
      this.#isHalfOpen = true;
      this.#movedAt = context.clock.monotonic();
      this.#timer?.cancel();
      this.#arm();
    };
    socket.on("data", (chunk: Buffer) => {
      account.requestBytes += chunk.length;
      this.#movedAt = context.clock.monotonic();
    });
    peer.on("data", (chunk: Buffer) => {
      account.responseBytes += chunk.length;
      this.#movedAt = context.clock.monotonic();
    });
    socket.on("end", halfOpen);
    peer.on("end", halfOpen);
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#peer = undefined;
  }

  #arm(): void {
    const { context } = this.#tunnel;
    const { idleStreamMs, headersTimeoutMs } = context.options;
    const limitMs = this.#isHalfOpen ? Math.min(headersTimeoutMs, idleStreamMs) : idleStreamMs;
    if (limitMs === Number.POSITIVE_INFINITY || this.#peer === undefined) return;
    const leftMs = this.#movedAt + limitMs - context.clock.monotonic();
    // A timer may fire a fraction of a millisecond before its time.
    if (leftMs > 0.5) {
      this.#timer = context.clock.after(leftMs, () => this.#arm());
      return;
    }
    const { account, socket } = this.#tunnel;
    const what = this.#isHalfOpen ? "one side had ended, and " : "";
    const reason = `${what}no byte moved for ${limitMs} ms`;
    account.failed({ code: "canceled", httpStatus: 499, reason, retryAfterMs: undefined }, "aborted");
    this.#peer.destroy();
    socket.destroy();
  }
}
