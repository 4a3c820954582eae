import { MessageChannel, type MessagePort } from "node:worker_threads";

/** Below this the garbage collector is cheaper. */
const minReleasedBytes = 16 * 1024;

/**
 * Gives the memory of large pieces back as soon as they are not needed, before the garbage collector would. What comes next
 * then gets memory that is there and in the cache already; without it every piece of an upload is written to fresh pages.
 */
export class MemoryRelease {
  /**
   * Transferring is the way to take memory from an object that Node 20 has, and what is transferred to a port that was closed
   * belongs to nobody (HTML, 9.4.4).
   */
  #nowhere: MessagePort | undefined;

  /** Whether `piece` is large, and the only view of its memory that was ever given out. */
  pays(piece: Buffer): boolean {
    return piece.length >= minReleasedBytes && piece.buffer.byteLength === piece.length;
  }

  /** Empties `piece`, which must be one that `pays`, and that nobody looks at any more. */
  release(piece: Buffer): void {
    this.#nowhere ??= closedPort();
    this.#nowhere.postMessage(undefined, [piece.buffer as ArrayBuffer]);
  }
}

function closedPort(): MessagePort {
  const { port1 } = new MessageChannel();
  port1.close();
  return port1;
}
