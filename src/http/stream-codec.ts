import { create, type DescMessage, type Message } from "@bufbuild/protobuf";
import type { Compression } from "@connectrpc/connect/protocol";
import { envelope, envelopeFlags } from "./envelope.js";
import { wireFormsOf } from "./shared-message.js";

/** How messages of a stream are written. */
export interface StreamCodecOptions {
  readonly output: DescMessage;
  /** Throws `ConnectError` if the message can't be written. */
  readonly serialize: (message: Message) => Uint8Array;
  /** Null for none. */
  readonly compression: Compression | null;
  /** Smaller messages are not compressed. */
  readonly compressMinBytes: number;
}

/** Writes the answers of one method for all callers who read the same codec and compression. */
export class StreamCodec {
  readonly #options: StreamCodecOptions;

  constructor(options: StreamCodecOptions) {
    this.#options = options;
  }

  /** What an implementation has yielded, as a message. */
  normalize(value: unknown): Message {
    return create(this.#options.output, value as Message);
  }

  /** The envelope of a message; of a shared one the same bytes for everybody. A promise if it has to be compressed. */
  write(message: Message): Buffer | Promise<Buffer> {
    const known = wireFormsOf(message);
    const made = known?.get(this);
    if (made !== undefined) return made;
    const bytes = this.#envelope(0, this.#options.serialize(message));
    if (known !== undefined) {
      known.set(this, bytes);
      if (!Buffer.isBuffer(bytes)) void bytes.then((done) => known.set(this, done)).catch(() => {});
    }
    return bytes;
  }

  /** The envelope that ends a stream. */
  writeEnd(bytes: Uint8Array): Buffer | Promise<Buffer> {
    return this.#envelope(envelopeFlags.endOfStream, bytes);
  }

  #envelope(flags: number, bytes: Uint8Array): Buffer | Promise<Buffer> {
    const { compression, compressMinBytes } = this.#options;
    if (compression === null || bytes.length < compressMinBytes) return envelope(flags, bytes);
    return this.#compressed(compression, flags, bytes as Uint8Array<ArrayBuffer>);
  }

  async #compressed(compression: Compression, flags: number, bytes: Uint8Array<ArrayBuffer>): Promise<Buffer> {
    return envelope(flags | envelopeFlags.compressed, await compression.compress(bytes));
  }
}
