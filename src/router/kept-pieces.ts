/** A piece of a request. */
export interface KeptPiece {
  readonly bytes: Uint8Array;
  readonly endOfMessage: boolean;
}

/** The beginning of a request that may have to be sent again. */
export class KeptPieces {
  /** All that came; empty once that is too much, or nobody may ask for it any more. */
  pieces: KeptPiece[] = [];
  /** Whether `pieces` is the request from its first byte on. */
  isComplete = true;
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Adds a piece. With `must` however many there are, because it was not sent yet. */
  add(given: Uint8Array, endOfMessage: boolean, must: boolean): void {
    if (!this.isComplete) return;
    this.#bytes += given.length;
    if (this.#bytes > this.#maxBytes && !must) return this.forget();
    // A small view of a large chunk is copied, so that it does not keep the chunk.
    const bytes = given.buffer.byteLength > 2 * given.length + 1_024 ? Uint8Array.from(given) : given;
    this.pieces.push({ bytes, endOfMessage });
  }

  /** Nobody will ask for the request again. */
  forget(): void {
    this.isComplete = false;
    this.pieces = [];
  }
}
