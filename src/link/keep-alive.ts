import type { Clock, Timer } from "../internal/clock.js";
import type { LinkLimits } from "./link-limits.js";

/** What the watch over a link's life can do. */
export interface KeepAliveActions {
  ping(): void;
  /** The other side is gone. */
  dead(message: string): void;
}

/** Finds out that the other side has fallen silent, or takes nothing, with one timer that is not touched by calls. */
export class KeepAlive {
  readonly #clock: Clock;
  readonly #limits: LinkLimits;
  readonly #actions: KeepAliveActions;
  #timer: Timer | undefined;
  #firesAt = 0;
  #asked = false;
  #blockedSince: number | undefined;
  /** To be set when anything comes in. */
  heard = true;

  constructor(clock: Clock, limits: LinkLimits, actions: KeepAliveActions) {
    this.#clock = clock;
    this.#limits = limits;
    this.#actions = actions;
  }

  start(): void {
    this.#arm(this.#limits.keepAliveIntervalMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
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
    if (this.heard) {
      this.heard = false;
      this.#asked = false;
      return this.#arm(keepAliveIntervalMs);
    }
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
