const firstBytes = 65_536;

/** Puts a message together from its pieces. Copies, so that small pieces do not keep the large chunks that they came in. */
export class MessageAssembly {
  #buffer: Uint8Array = new Uint8Array(0);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(bytes: Uint8Array): void {
    const size = this.#size + bytes.length;
    if (size > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(firstBytes, this.#buffer.length * 2, size));
      larger.set(this.#buffer.subarray(0, this.#size));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#size);
    this.#size = size;
  }

  /** The whole message. */
  take(): Uint8Array {
    return this.#buffer.subarray(0, this.#size);
  }
}
