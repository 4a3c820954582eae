import type { Clock, Timer } from "../internal/clock.js";
import type { LinkLimits } from "./link-limits.js";

/** What the watch over a link's life can do. */
export interface KeepAliveActions {
  ping(): void;
  /** The other side is gone. */
  dead(message: string): void;
}

/**
 * Finds out that the other side has fallen silent, or takes nothing, with one timer, which what comes in moves only while a
 * question waits for its answer.
 */
export class KeepAlive {
  readonly #clock: Clock;
  readonly #limits: LinkLimits;
  readonly #actions: KeepAliveActions;
  #timer: Timer | undefined;
  #firesAt = 0;
  #heardAt = 0;
  /** A question was asked, and nothing has come since. */
  #asked = false;
  #blockedSince: number | undefined;

  constructor(clock: Clock, limits: LinkLimits, actions: KeepAliveActions) {
    this.#clock = clock;
    this.#limits = limits;
    this.#actions = actions;
  }

  start(): void {
    this.#heardAt = this.#clock.monotonic();
    this.#arm(this.#limits.keepAliveIntervalMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Something came in. */
  heard(): void {
    this.#heardAt = this.#clock.monotonic();
    if (!this.#asked) return;
    this.#asked = false;
    this.#timer?.cancel();
    this.#arm(this.#limits.keepAliveIntervalMs);
  }

  /** The transport has begun to refuse bytes, or takes them again. */
  blocked(blocked: boolean): void {
    this.#blockedSince = blocked ? this.#clock.monotonic() : undefined;
  }

  #arm(delayMs: number): void {
    this.#firesAt = this.#clock.monotonic() + delayMs;
    this.#timer = this.#clock.after(delayMs, this.#check);
  }

  readonly #check = (): void => {
    const now = this.#clock.monotonic();
    const { keepAliveIntervalMs, keepAliveTimeoutMs, writeStallTimeoutMs } = this.#limits;
    if (this.#blockedSince !== undefined && now - this.#blockedSince >= writeStallTimeoutMs) {
      return this.#actions.dead(`the other side has taken nothing for ${Math.round(now - this.#blockedSince)} ms`);
    }
    const silentMs = now - this.#heardAt;
    if (silentMs < keepAliveIntervalMs) return this.#arm(Math.ceil(keepAliveIntervalMs - silentMs));
    // A timer that is late means that this process was busy, and what the other side sent may still wait to be read.
    const busy = now - this.#firesAt > keepAliveTimeoutMs / 2;
    if (this.#asked && !busy) {
      return this.#actions.dead(`the other side has not answered a ping for ${keepAliveTimeoutMs} ms`);
    }
    if (!this.#asked) this.#actions.ping();
    this.#asked = true;
    this.#arm(keepAliveTimeoutMs);
  };
}
