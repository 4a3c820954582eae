import type { MessagePort } from "node:worker_threads";
import type { LinkTransport, LinkTransportEvents } from "./link-transport.js";

// From here on handing memory over is faster than a second copy of the bytes.
const transferBytes = 2_048;

/**
 * A link over a MessagePort to another thread of the same process. A port takes all that it is given: what may wait in it is
 * bounded by the link's windows and its limit of calls.
 */
export class MessagePortTransport implements LinkTransport {
  readonly #port: MessagePort;
  #closed = false;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  start(events: LinkTransportEvents): void {
    const port = this.#port;
    let failure: Error | undefined;
    port.on("message", (message: unknown) => {
      if (this.#closed) return;
      if (message instanceof Uint8Array) return events.data(message);
      // The code of the thread can reach its port. What is no bytes is no link.
      failure = new Error("the other thread sent something else than bytes");
      this.destroy();
    });
    port.on("messageerror", (error: Error) => {
      failure = error;
      this.destroy();
    });
    port.once("close", () => {
      this.#closed = true;
      events.close(failure);
    });
  }

  send(bytes: Uint8Array): boolean {
    if (this.#closed) return true;
    // The bytes are a part of a larger piece of memory that is written on behind them, and all of it would go along.
    const own = new Uint8Array(bytes);
    if (own.length < transferBytes) this.#port.postMessage(own);
    else this.#port.postMessage(own, [own.buffer]);
    return true;
  }

  /** What was sent is handed on before the other side hears of the end. */
  close(): void {
    this.#closed = true;
    this.#port.close();
  }

  destroy(): void {
    this.close();
  }
}
