import { frameHeaderBytes } from "./frame.js";

const slabBytes = 65_536;

// Up to here a loop in JavaScript is faster than a call into the runtime.
const shortTextLength = 48;

/**
 * Encodes frames one behind the other into a batch. Batches are cut from a slab and never written again once taken, so
 * that a transport may keep them as long as it likes without a copy.
 */
export class FrameWriter {
  #slab = Buffer.allocUnsafeSlow(slabBytes);
  #batchStart = 0;
  #at = 0;
  #frameStart = 0;

  /** Bytes in the batch. */
  get size(): number {
    return this.#at - this.#batchStart;
  }

  /** Begins a frame. The payload follows by the other methods, then {@link finish}. */
  begin(type: number, flags: number, streamId: number): void {
    this.#reserve(frameHeaderBytes);
    const slab = this.#slab;
    const at = this.#at;
    this.#frameStart = at;
    slab[at] = type;
    slab[at + 1] = flags;
    slab[at + 5] = streamId >>> 24;
    slab[at + 6] = streamId >>> 16;
    slab[at + 7] = streamId >>> 8;
    slab[at + 8] = streamId;
    this.#at = at + frameHeaderBytes;
  }

  /** Ends the frame that was begun last. */
  finish(): void {
    const at = this.#frameStart;
    const length = this.#at - at - frameHeaderBytes;
    this.#slab[at + 2] = length >>> 16;
    this.#slab[at + 3] = length >>> 8;
    this.#slab[at + 4] = length;
  }

  /** Begins a section, which says its own length in 24 bits. Returns what {@link endSection} needs. */
  beginSection(): number {
    this.#reserve(3);
    this.#at += 3;
    return this.#at - this.#frameStart;
  }

  endSection(begin: number): void {
    const start = this.#frameStart + begin;
    const length = this.#at - start;
    this.#slab[start - 3] = length >>> 16;
    this.#slab[start - 2] = length >>> 8;
    this.#slab[start - 1] = length;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#slab[this.#at++] = value;
  }

  /** An unsigned integer in so many bytes. */
  uint(value: number, bytes: number): void {
    this.#reserve(bytes);
    let rest = value;
    for (let index = bytes - 1; index >= 0; index--) {
      this.#slab[this.#at + index] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    this.#at += bytes;
  }

  /** A text in UTF-8 without its length, for the end of a frame. */
  plainText(text: string): void {
    this.#reserve(text.length * 3);
    this.#at += this.#slab.write(text, this.#at, "utf8");
  }

  /** An unsigned integer below 2^48, in groups of seven bits, lowest first. */
  varint(value: number): void {
    this.#reserve(7);
    let rest = value;
    while (rest >= 128) {
      this.#slab[this.#at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#slab[this.#at++] = rest;
  }

  /** A text in UTF-8 behind its length in bytes, which is shifted left by `tagShift` bits. */
  text(text: string, tagShift: 0 | 2): void {
    const { length } = text;
    this.#reserve(length * 3 + 5);
    if (length > shortTextLength) return this.#encode(text, tagShift);
    const mark = this.#at;
    this.varint(length << tagShift);
    const slab = this.#slab;
    const start = this.#at;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 127) {
        this.#at = mark;
        return this.#encode(text, tagShift);
      }
      slab[start + index] = code;
    }
    this.#at = start + length;
  }

  #encode(text: string, tagShift: 0 | 2): void {
    const bytes = Buffer.byteLength(text);
    this.varint(bytes * (tagShift === 0 ? 1 : 4));
    this.#at += this.#slab.write(text, this.#at, bytes, "utf8");
  }

  /** Bytes as they are. */
  bytes(source: Uint8Array, from: number, to: number): void {
    this.#reserve(to - from);
    const slab = this.#slab;
    if (to - from > 32) {
      slab.set(from === 0 && to === source.length ? source : source.subarray(from, to), this.#at);
    } else {
      for (let index = from, at = this.#at; index < to; index++, at++) slab[at] = source[index] as number;
    }
    this.#at += to - from;
  }

  /** The batch so far; the next one begins empty. */
  take(): Uint8Array {
    const batch = this.#slab.subarray(this.#batchStart, this.#at);
    this.#batchStart = this.#at;
    return batch;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes > this.#slab.length) this.#grow(bytes);
  }

  #grow(bytes: number): void {
    const { size } = this;
    // A batch that outgrows its slab doubles it; otherwise the rest of a used-up slab is simply left.
    const next = Buffer.allocUnsafeSlow(Math.max(slabBytes, (size + bytes) * 2));
    this.#slab.copy(next, 0, this.#batchStart, this.#at);
    this.#frameStart -= this.#batchStart;
    this.#at = size;
    this.#batchStart = 0;
    this.#slab = next;
  }
}
