import type { ControlFrames } from "./control-frames.js";
import { closeCode, LinkFault } from "./frame.js";
import type { LinkLimits } from "./link-limits.js";
import type { StreamCore } from "./stream-core.js";

/** Keeps count of what has come in and is not dealt with, and gives the other side room again when it is. */
export class ReceiveWindow {
  readonly #limits: LinkLimits;
  readonly #control: ControlFrames;
  #outstanding = 0;
  #returnable = 0;

  constructor(limits: LinkLimits, control: ControlFrames) {
    this.#limits = limits;
    this.#control = control;
  }

  /** What nobody has dealt with yet. */
  get unread(): number {
    return this.#outstanding - this.#returnable;
  }

  /** @throws LinkFault if the other side had no room for it */
  receive(cost: number): void {
    this.#outstanding += cost;
    const { linkWindowBytes } = this.#limits;
    if (this.#outstanding <= linkWindowBytes) return;
    const message = `${this.#outstanding} bytes of all streams are unread; at most ${linkWindowBytes} were allowed`;
    throw new LinkFault(closeCode.flowControl, message);
  }

  /** Room for the link only: bytes of streams that are over. */
  release(cost: number): void {
    if (cost === 0) return;
    this.#returnable += cost;
    // Not for each message: the other side can do without a quarter of the room that there is. Of what there is, not of the
    // whole window: with most of that held by streams that nobody reads, the others would wait for it for ever.
    if (this.#returnable * 4 < this.#limits.linkWindowBytes - this.unread) return;
    this.#control.window(0, this.#returnable);
    this.#outstanding -= this.#returnable;
    this.#returnable = 0;
  }

  /** Room for the link and for the stream. */
  releaseStream(stream: StreamCore, cost: number): void {
    this.release(cost);
    if (stream.closed || stream.peerEnd !== undefined) return;
    stream.returnable += cost;
    if (stream.returnable * 2 < this.#limits.streamWindowBytes) return;
    this.#control.window(stream.id, stream.returnable);
    stream.outstanding -= stream.returnable;
    stream.returnable = 0;
  }
}
