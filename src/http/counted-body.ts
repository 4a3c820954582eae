import { Readable } from "node:stream";

/**
 * A request's body whose bytes are counted as they are read. Reads nothing before somebody reads it, and no faster; is cut off
 * where the body behind it is.
 */
export class CountedBody extends Readable {
  readonly #behind: Readable;
  readonly #passes: (bytes: number) => boolean;
  #isReading = false;
  #isWanted = false;

  /** @param passes told of the bytes of each piece; false cuts the body off in front of it */
  constructor(behind: Readable, passes: (bytes: number) => boolean) {
    super();
    this.#behind = behind;
    this.#passes = passes;
    // Cut off, it has nothing to say to somebody who does not read it.
    this.on("error", () => {});
  }

  override _read(): void {
    this.#isWanted = true;
    if (!this.#isReading) {
      this.#isReading = true;
      const advance = this.#advance;
      this.#behind.on("readable", advance).on("end", advance).on("close", advance).on("error", advance);
    }
    this.#advance();
  }

  readonly #advance = (): void => {
    const behind = this.#behind;
    while (this.#isWanted && !this.destroyed) {
      const chunk: Buffer | null = behind.destroyed ? null : behind.read();
      if (chunk === null) break;
      if (!this.#passes(chunk.length)) return void this.destroy();
      this.#isWanted = this.push(chunk);
    }
    if (this.destroyed || this.readableEnded) return;
    if (behind.readableEnded) this.push(null);
    else if (behind.destroyed) this.destroy();
  };

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const advance = this.#advance;
    this.#behind.off("readable", advance).off("end", advance).off("close", advance);
    // The error listener stays: an error that nobody listens to would end the process.
    done(error);
  }
}
