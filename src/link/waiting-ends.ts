import type { LinkEnd } from "./link-stream.js";

// Errors that wait on one link for their turn. Windows do not count them, and each may be as large as a message.
const maxWaitingBytes = 16_777_216;
// Smaller errors are always kept: of these there are not more than calls.
const smallBytes = 4_096;

/** Bounds what the ends of calls take that cannot be sent yet. */
export class WaitingEnds {
  #bytes = 0;

  /** An end as it may wait; an error is kept without its details if too much waits already. To be given to {@link leave}. */
  enter(end: LinkEnd): LinkEnd {
    const bytes = sizeOf(end);
    const kept =
      bytes > 0 && this.#bytes + bytes > maxWaitingBytes
        ? { ...end, message: end.message.slice(0, 1_000), details: undefined }
        : end;
    this.#bytes += sizeOf(kept);
    return kept;
  }

  /** The end was sent, or its call is over. */
  leave(end: LinkEnd): void {
    this.#bytes -= sizeOf(end);
  }
}

function sizeOf({ message, details }: LinkEnd): number {
  const bytes = message.length + (details?.length ?? 0);
  return bytes > smallBytes ? bytes : 0;
}
