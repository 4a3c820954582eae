import type { Writable } from "node:stream";
import type { ServerExchange } from "./exchange.js";

/** Writes the body of an answer at the caller's pace. Make it after `respond`. */
export class AnswerWriter {
  readonly #exchange: ServerExchange;
  readonly #response: Writable;
  #wake: (() => void) | undefined;

  constructor(exchange: ServerExchange) {
    this.#exchange = exchange;
    this.#response = exchange.response;
  }

  /** Undefined if more may be written at once, otherwise a promise for that. Also goes on when the exchange ends. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#exchange.ended !== undefined || this.#response.write(chunk)) return undefined;
    return new Promise((resolve) => {
      if (this.#wake === undefined) {
        const wake = (): void => this.#wake?.();
        this.#response.on("drain", wake);
        this.#exchange.onEnd(wake);
      }
      this.#wake = resolve;
    });
  }
}
