import type { Clock } from "../internal/clock.js";
import { DeadlineWheel } from "./deadline-wheel.js";
import type { StreamCore } from "./stream-core.js";
import { StreamIds } from "./stream-ids.js";

/** The calls of one link: those that are open, those of ours that wait for room, and their deadlines. */
export class OpenCalls {
  readonly #clock: Clock;
  readonly #wheel: DeadlineWheel;
  readonly #ids: StreamIds;
  readonly #streams = new Map<number, StreamCore>();
  readonly #waiting = new Set<StreamCore>();
  #ours = 0;
  #theirs = 0;

  /** @param firstId 1 for the side that dialled, 2 for the other */
  constructor(clock: Clock, firstId: 1 | 2) {
    this.#clock = clock;
    this.#wheel = new DeadlineWheel(clock);
    this.#ids = new StreamIds(firstId);
  }

  get open(): number {
    return this.#streams.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Open calls of the other side. */
  get theirs(): number {
    return this.#theirs;
  }

  /** Open calls of ours. */
  get ours(): number {
    return this.#ours;
  }

  get(id: number): StreamCore | undefined {
    return this.#streams.get(id);
  }

  /** Every call, waiting ones too, in a list of its own. */
  all(): StreamCore[] {
    return [...this.#streams.values(), ...this.#waiting];
  }

  /** Whether the other side may open a stream with this id. */
  mayOpen(id: number): boolean {
    return this.#ids.isPeers(id) && !this.#streams.has(id);
  }

  /** Adds a call of the other side. */
  addTheirs(stream: StreamCore): void {
    this.#theirs += 1;
    this.#streams.set(stream.id, stream);
    this.#arm(stream);
  }

  /** Adds a call of ours, which waits if there are `maxStreams` already. */
  addOurs(stream: StreamCore, maxStreams: number): void {
    this.#arm(stream);
    if (this.#ours >= maxStreams) this.#waiting.add(stream);
    else this.#begin(stream);
  }

  /** Forgets a call that is over. */
  remove(stream: StreamCore): void {
    if (stream.bucket !== undefined) this.#wheel.remove(stream);
    if (stream.id === 0) {
      this.#waiting.delete(stream);
    } else {
      this.#streams.delete(stream.id);
      if (stream.ours) this.#ours -= 1;
      else this.#theirs -= 1;
    }
  }

  /** Takes the call that has waited longest, if there is room for it now. */
  nextWaiting(maxStreams: number): StreamCore | undefined {
    if (this.#ours >= maxStreams) return undefined;
    for (const stream of this.#waiting) {
      this.#waiting.delete(stream);
      if (stream.dueAt > 0) {
        const left = Math.max(1, Math.ceil(stream.dueAt - this.#clock.monotonic()));
        stream.head = { ...stream.head, deadlineMs: left };
      }
      this.#begin(stream);
      return stream;
    }
    return undefined;
  }

  /** Forgets all deadlines. */
  stop(): void {
    this.#wheel.clear();
  }

  #begin(stream: StreamCore): void {
    this.#ours += 1;
    stream.id = this.#ids.next(this.#streams);
    this.#streams.set(stream.id, stream);
  }

  #arm(stream: StreamCore): void {
    const { deadlineMs } = stream.head;
    if (deadlineMs === 0) return;
    const now = this.#clock.monotonic();
    stream.dueAt = now + deadlineMs;
    this.#wheel.add(stream, now);
  }
}
