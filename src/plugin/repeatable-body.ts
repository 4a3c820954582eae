import { ReplayableInput } from "../link/replayable-input.js";

/** The body of a request that may have to be sent a second time: all of it if it is one message, else as long as little was taken. */
export class RepeatableBody {
  readonly #input: ReplayableInput<Uint8Array>;
  readonly #isWhole: boolean;

  constructor(body: AsyncIterable<Uint8Array>, isWhole: boolean) {
    this.#input = new ReplayableInput(body);
    this.#isWhole = isWhole;
  }

  /** For the first attempt. */
  async *first(): AsyncGenerator<Uint8Array> {
    const input = this.#input;
    let isLeft = true;
    try {
      for (;;) {
        isLeft = false;
        const next = await input.next();
        if (next.done === true || input.isReplayed) return;
        isLeft = true;
        // Whoever sends one message keeps it anyway.
        input.took(next.value, this.#isWhole ? 0 : next.value.length);
        yield next.value;
      }
    } finally {
      if (isLeft && !input.isReplayed) input.close();
    }
  }

  /** Everything from the beginning, and nothing more to the first attempt; undefined if the beginning is not there any more. */
  again(): AsyncIterable<Uint8Array> | undefined {
    return this.#input.replay();
  }

  /** There will be no second attempt. */
  forget(): void {
    this.#input.forget();
  }

  /** What was to be sent {@link again} is not. */
  close(): void {
    this.#input.close();
  }
}
