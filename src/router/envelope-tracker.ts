const prefixBytes = 5;
/** The flag of the last message: 0x02 in Connect streams, 0x80 in gRPC-Web. gRPC sets neither. */
const endFlags = 0x82;
const maxKeptBytes = 4_096;

/**
 * Follows the envelopes (one byte of flags, four of length, the message) of a stream that passes by, without keeping
 * the messages, so that a broken stream can be ended by a message of its own where one message has just ended.
 */
export class EnvelopeTracker {
  /** Bytes of the current prefix that have been seen. */
  #prefixSeen = 0;
  #flags = 0;
  #length = 0;
  #ended = false;
  #endMessage = "";

  /** Takes note of the next bytes of the stream. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#prefixSeen < prefixBytes) {
        const byte = chunk[at++] as number;
        if (this.#prefixSeen === 0) {
          this.#flags = byte;
          this.#length = 0;
          if ((byte & endFlags) !== 0) this.#ended = true;
        } else {
          // Not a shift: lengths from 2 GiB on would become negative.
          this.#length = this.#length * 256 + byte;
        }
        this.#prefixSeen++;
      } else {
        const step = Math.min(this.#length, chunk.length - at);
        if (this.#ended && this.#endMessage.length < maxKeptBytes) {
          this.#endMessage += Buffer.from(chunk.buffer, chunk.byteOffset + at, step).toString("latin1");
        }
        this.#length -= step;
        at += step;
      }
      if (this.#prefixSeen === prefixBytes && this.#length === 0) this.#prefixSeen = 0;
    }
  }

  /** Whether the bytes so far end with a whole message, and the stream has not sent its last message yet. */
  get mayEndHere(): boolean {
    return this.#prefixSeen === 0 && !this.#ended;
  }

  /** The beginning of the stream's last message as Latin-1 text; empty if it has not come, or is compressed. */
  get endMessage(): string {
    return (this.#flags & 1) === 0 ? this.#endMessage : "";
  }
}
