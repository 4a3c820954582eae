import { type CloseCode, frameType, type ResetCode } from "./frame.js";
import type { Outbox } from "./outbox.js";

// A reason is for people; more would only cost the other side room.
const longestReason = 1_000;

/** Writes the frames that carry no messages. They go out whatever the windows say. */
export class ControlFrames {
  readonly #outbox: Outbox;
  #pongWaits: Uint8Array | undefined;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  /** Room for so many bytes more: of one stream, or of all together if `id` is 0. */
  window(id: number, bytes: number): void {
    const { writer } = this.#outbox;
    writer.begin(frameType.window, 0, id);
    writer.uint(bytes, 4);
    this.#finish();
  }

  reset(id: number, code: ResetCode, reason: string): void {
    const { writer } = this.#outbox;
    writer.begin(frameType.reset, 0, id);
    writer.uint(code, 2);
    writer.plainText(reason.slice(0, longestReason));
    this.#finish();
  }

  goAway(code: CloseCode, callsTaken: number, reason: string): void {
    const { writer } = this.#outbox;
    writer.begin(frameType.goAway, 0, 0);
    writer.uint(code, 2);
    writer.uint(callsTaken, 6);
    writer.plainText(reason.slice(0, longestReason));
    this.#finish();
  }

  ping(): void {
    this.#withPayload(frameType.ping, new Uint8Array(8));
  }

  /** Answers a ping; if nothing is taken now, only the last one. */
  pong(payload: Uint8Array): void {
    if (this.#outbox.blocked) this.#pongWaits = Uint8Array.from(payload);
    else this.#withPayload(frameType.pong, payload);
  }

  /** To be called when the transport takes bytes again. */
  resume(): void {
    const pong = this.#pongWaits;
    this.#pongWaits = undefined;
    if (pong !== undefined) this.#withPayload(frameType.pong, pong);
  }

  #withPayload(type: number, payload: Uint8Array): void {
    const { writer } = this.#outbox;
    writer.begin(type, 0, 0);
    writer.bytes(payload, 0, payload.length);
    this.#finish();
  }

  #finish(): void {
    this.#outbox.writer.finish();
    this.#outbox.written();
  }
}
