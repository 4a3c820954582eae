import type { Clock, Timer } from "../../internal/clock.js";

/** When a call may begin. */
export type Turn =
  | { readonly kind: "now" }
  /** `come` resolves when it may, or when it has left. `leave` gives its place to those behind it. */
  | { readonly kind: "later"; readonly come: Promise<void>; readonly leave: () => void }
  /** It would be its turn after more than it can wait; it has none. */
  | { readonly kind: "too-late"; readonly waitMs: number };

/** The calls of one name. */
interface Line {
  /** When a caller that uses all of its rate would be due, those who wait not counted; in the past for those who use less. */
  dueAt: number;
  /** What lets them begin, the first one first. */
  readonly waiting: Set<() => void>;
  timer: Timer | undefined;
}

/** Hands out the turns of calls at a rate, for each name, in the order in which they ask. */
export class TurnQueue {
  readonly #stepMs: number;
  readonly #burstMs: number;
  readonly #clock: Clock;
  readonly #lines = new Map<string, Line>();
  #sweepAt = 0;

  constructor(perSecond: number, burst: number, clock: Clock) {
    this.#stepMs = 1_000 / perSecond;
    this.#burstMs = (burst - 1) * this.#stepMs;
    this.#clock = clock;
  }

  take(key: string, maxWaitMs: number): Turn {
    const now = this.#clock.monotonic();
    this.#sweep(now);
    const line = this.#lineOf(key);
    const { waiting } = line;
    if (waiting.size === 0) line.dueAt = Math.max(now, line.dueAt);
    const waitMs = this.#leftMs(line, now - waiting.size * this.#stepMs);
    if (waitMs > maxWaitMs) return { kind: "too-late", waitMs };
    if (waitMs === 0 && waiting.size === 0) {
      line.dueAt += this.#stepMs;
      return { kind: "now" };
    }
    return this.#wait(line);
  }

  #wait(line: Line): Turn {
    let begin!: () => void;
    const come = new Promise<void>((resolve) => {
      begin = resolve;
    });
    line.waiting.add(begin);
    if (line.timer === undefined) this.#arm(line);
    const leave = (): void => {
      line.waiting.delete(begin);
      if (line.waiting.size === 0) this.#arm(line);
      begin();
    };
    return { kind: "later", come, leave };
  }

  /** Lets those begin whose turn it is. A timer that is late makes nobody later who stands behind. */
  #call(line: Line): void {
    const now = this.#clock.monotonic();
    for (const begin of line.waiting) {
      if (this.#leftMs(line, now) > 0) break;
      line.waiting.delete(begin);
      line.dueAt += this.#stepMs;
      begin();
    }
    this.#arm(line);
  }

  /** One timer is enough for a line: the first place comes at the same time, whoever stands there. */
  #arm(line: Line): void {
    line.timer?.cancel();
    line.timer = undefined;
    if (line.waiting.size === 0) return;
    // Somebody waits for it, so the process must not end meanwhile.
    const leftMs = this.#leftMs(line, this.#clock.monotonic());
    line.timer = this.#clock.after(leftMs, () => this.#call(line), true);
  }

  /** How long after `now` the first place in the line may begin. */
  #leftMs({ dueAt }: Line, now: number): number {
    const leftMs = dueAt - this.#burstMs - now;
    // Sums of fractions miss whole milliseconds by a hair.
    return leftMs < 1e-6 ? 0 : leftMs;
  }

  #lineOf(key: string): Line {
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = { dueAt: 0, waiting: new Set(), timer: undefined };
      this.#lines.set(key, line);
    }
    return line;
  }

  #sweep(now: number): void {
    if (now < this.#sweepAt) return;
    this.#sweepAt = now + this.#burstMs + this.#stepMs;
    for (const [key, { dueAt, waiting }] of this.#lines) {
      if (waiting.size === 0 && dueAt <= now) this.#lines.delete(key);
    }
  }
}
