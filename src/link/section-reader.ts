import { closeCode, LinkFault } from "./frame.js";

/** Reads numbers and texts from a part of a payload and never beyond it. One object serves a whole session. */
export class SectionReader {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #to = 0;
  #outerTo = 0;

  /** From now on reads `bytes` from `from` to `to`. */
  reset(bytes: Buffer, from: number, to: number): void {
    this.#bytes = bytes;
    this.#at = from;
    this.#to = to;
  }

  /** Where the next read begins. */
  get at(): number {
    return this.#at;
  }

  get done(): boolean {
    return this.#at >= this.#to;
  }

  /** @throws LinkFault if nothing is left; so do all the others */
  byte(): number {
    if (this.#at >= this.#to) throw cutShort();
    return this.#bytes[this.#at++] as number;
  }

  uint(bytes: number): number {
    let value = 0;
    for (let index = 0; index < bytes; index++) value = value * 256 + this.byte();
    return value;
  }

  varint(): number {
    const first = this.byte();
    if (first < 128) return first;
    let value = first & 127;
    let scale = 128;
    for (let count = 1; count < 7; count++) {
      const next = this.byte();
      value += (next & 127) * scale;
      if (next < 128) return value;
      scale *= 128;
    }
    throw new LinkFault(closeCode.protocol, "a number has more than seven bytes");
  }

  text(length: number): string {
    const from = this.#skip(length);
    return this.#bytes.toString("utf8", from, from + length);
  }

  bytes(length: number): Uint8Array {
    const from = this.#skip(length);
    return this.#bytes.subarray(from, from + length);
  }

  /** Reads a section's length and narrows reading to the section. */
  enterSection(): void {
    const length = this.uint(3);
    if (this.#at + length > this.#to) throw cutShort();
    this.#outerTo = this.#to;
    this.#to = this.#at + length;
  }

  /** Goes on behind the section. What it had beyond what was read is skipped: later versions may append to sections. */
  leaveSection(): void {
    this.#at = this.#to;
    this.#to = this.#outerTo;
  }

  #skip(length: number): number {
    const from = this.#at;
    if (from + length > this.#to) throw cutShort();
    this.#at = from + length;
    return from;
  }
}

function cutShort(): LinkFault {
  return new LinkFault(closeCode.protocol, "a frame ends in the middle of something");
}
