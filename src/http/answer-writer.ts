import type { ServerExchange } from "./exchange.js";

/** Writes the body of an answer at the caller's pace. Make it after `respond`. */
export class AnswerWriter {
  readonly #exchange: ServerExchange;
  #wake: (() => void) | undefined;

  constructor(exchange: ServerExchange) {
    this.#exchange = exchange;
  }

  /** Undefined if more may be written at once, otherwise a promise for that. Also goes on when the exchange ends. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#exchange.ended !== undefined || this.#exchange.write(asBuffer(chunk))) return undefined;
    return new Promise((resolve) => {
      if (this.#wake === undefined) {
        const wake = (): void => this.#wake?.();
        this.#exchange.response.on("drain", wake);
        this.#exchange.onEnd(wake);
      }
      this.#wake = resolve;
    });
  }
}

const asBuffer = (chunk: Uint8Array): Buffer =>
  Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
