import { randomFillSync } from "node:crypto";

/** Random ids for traces and spans, drawn from the system in blocks because a draw for each call is slow. */
export class TraceIds {
  readonly #block = Buffer.allocUnsafe(4_096);
  #used = this.#block.length;

  /** `bytes` random bytes (at most 16) as lower-case hex, never all zero. */
  next(bytes: number): string {
    for (;;) {
      if (this.#used + bytes > this.#block.length) {
        randomFillSync(this.#block);
        this.#used = 0;
      }
      const id = this.#block.toString("hex", this.#used, this.#used + bytes);
      this.#used += bytes;
      // The standard gives the meaning "invalid" to zero.
      if (!/^0+$/.test(id)) return id;
    }
  }
}

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * The `traceparent` towards the provider: the caller's trace with a span id of this hop, or a new trace if the caller's
 * is absent or invalid (W3C Trace Context, 3.2).
 */
export function continueTrace(
  given: string | undefined,
  ids: TraceIds,
): { readonly traceparent: string; readonly continued: boolean } {
  const match = given === undefined ? null : pattern.exec(given);
  if (match !== null) {
    const [, version, traceId, parentId, flags, more] = match as unknown as [
      string,
      string,
      string,
      string,
      string,
      string | undefined,
    ];
    const valid =
      version !== "ff" && !(version === "00" && more !== undefined) && !/^0+$/.test(traceId) && !/^0+$/.test(parentId);
    // A later version goes on as the version that is understood here, as the standard asks.
    if (valid) return { traceparent: `00-${traceId}-${ids.next(8)}-${flags}`, continued: true };
  }
  // Sampled: with 00 the providers' tracers would drop the traces that they start for themselves today.
  return { traceparent: `00-${ids.next(16)}-${ids.next(8)}-01`, continued: false };
}
