import { closeCode, frameHeaderBytes, LinkFault } from "./frame.js";

/** Gets the frames that a decoder finds. */
export interface FrameSink {
  /** One whole frame; the payload is `bytes` from `from` to `to`. Returns false to stop decoding for good. */
  frame(type: number, flags: number, streamId: number, bytes: Buffer, from: number, to: number): boolean;
}

/**
 * Cuts a stream of bytes, however it was split, into frames. Payloads are views of what was pushed, but for a frame that came in
 * several chunks, which is put together in a buffer of its own.
 */
export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #maxFrameBytes: number;
  readonly #header = Buffer.allocUnsafeSlow(frameHeaderBytes);
  #headerFilled = 0;
  #payload: Buffer | undefined;
  #payloadFilled = 0;
  #stopped = false;

  constructor(sink: FrameSink, maxFrameBytes: number) {
    this.#sink = sink;
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Bytes of a frame that has not come completely; at most a frame and its header. */
  get held(): number {
    return this.#headerFilled + this.#payloadFilled;
  }

  /**
   * Takes the next bytes and hands on every frame that is now complete.
   *
   * @throws LinkFault if a frame is larger than allowed, and what the sink throws
   */
  push(chunk: Uint8Array): void {
    if (this.#stopped) return;
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    try {
      let at = this.#headerFilled > 0 ? this.#resume(bytes) : 0;
      while (!this.#stopped && bytes.length - at >= frameHeaderBytes) {
        const length = this.#lengthAt(bytes, at);
        const from = at + frameHeaderBytes;
        if (bytes.length - from < length) break;
        at = from + length;
        this.#emit(bytes, from - frameHeaderBytes, bytes, from, at);
      }
      if (!this.#stopped && at < bytes.length) this.#resume(bytes.subarray(at));
    } catch (error) {
      this.#stopped = true;
      throw error;
    }
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const length = ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 8) | (bytes[at + 4] as number);
    if (length > this.#maxFrameBytes) {
      throw new LinkFault(
        closeCode.limit,
        `a frame of type ${bytes[at]} has ${length} bytes; at most ${this.#maxFrameBytes} are taken`,
      );
    }
    return length;
  }

  /** Goes on with a frame that came in part; returns how many bytes of `bytes` it took. */
  #resume(bytes: Buffer): number {
    let at = 0;
    if (this.#headerFilled < frameHeaderBytes) {
      at = bytes.copy(this.#header, this.#headerFilled);
      this.#headerFilled += at;
      if (this.#headerFilled < frameHeaderBytes) return at;
    }
    this.#payload ??= Buffer.allocUnsafeSlow(this.#lengthAt(this.#header, 0));
    const payload = this.#payload;
    const copied = bytes.copy(payload, this.#payloadFilled, at);
    this.#payloadFilled += copied;
    if (this.#payloadFilled < payload.length) return at + copied;
    this.#headerFilled = 0;
    this.#payloadFilled = 0;
    this.#payload = undefined;
    this.#emit(this.#header, 0, payload, 0, payload.length);
    return at + copied;
  }

  #emit(header: Buffer, at: number, payload: Buffer, from: number, to: number): void {
    const id =
      (header[at + 5] as number) * 0x1000000 +
      (((header[at + 6] as number) << 16) | ((header[at + 7] as number) << 8) | (header[at + 8] as number));
    if (!this.#sink.frame(header[at] as number, header[at + 1] as number, id, payload, from, to)) this.#stopped = true;
  }
}
