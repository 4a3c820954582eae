import type { ServerExchange } from "../http/exchange.js";
import { requestTrailers } from "./request-headers.js";
import type { UpstreamCall } from "./upstream.js";

/** Watches what passes through a {@link RequestRelay}. */
export interface RelayWatcher {
  /** Called with the length of the body up to here, before its last bytes go on. False keeps them back for good. */
  passing(totalBytes: number): boolean;
  /** The provider has no room any more, or has some again. */
  blocked(isBlocked: boolean): void;
  /** The whole request was handed to the connection. */
  requestEnded(): void;
}

/**
 * Carries a request's body and trailers to a provider at the speed of the slower one, and keeps the beginning of it: a call
 * that no provider has looked at can be sent again from there.
 */
export class RequestRelay {
  /** Bytes that were read from the caller. */
  bytes = 0;
  readonly #exchange: ServerExchange;
  readonly #watcher: RelayWatcher;
  readonly #maxKeptBytes: number;
  /** All that was read so far; undefined once that is too much, or nobody may ask for it any more. */
  #kept: Buffer[] | undefined = [];
  #call: UpstreamCall | undefined;
  #isReading = false;
  #ended = false;
  #waiting = false;

  constructor(exchange: ServerExchange, maxKeptBytes: number, watcher: RelayWatcher) {
    this.#exchange = exchange;
    this.#maxKeptBytes = maxKeptBytes;
    this.#watcher = watcher;
  }

  /** Whether the request can be sent from its beginning. */
  get repeatable(): boolean {
    return this.#kept !== undefined;
  }

  /** Whether all of the request was handed over. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Sends to `call` what was read already, then goes on with the rest. */
  begin(call: UpstreamCall): void {
    this.#call = call;
    let room = true;
    for (const chunk of this.#kept ?? []) room = call.write(chunk);
    const { body } = this.#exchange;
    // An empty body may have come to its end while the connection was made.
    if (this.#ended || body.readableEnded) return this.#onEnd();
    if (!room) this.#wait();
    if (this.#isReading) {
      if (room) body.resume();
      return;
    }
    this.#isReading = true;
    body.on("end", this.#onEnd);
    body.on("data", this.#onData);
    if (!room) body.pause();
  }

  /** The call has failed; another one may follow. */
  detach(): void {
    this.#call = undefined;
    this.#waiting = false;
    if (this.#isReading && !this.#ended) this.#exchange.body.pause();
  }

  /** The call has room again. */
  drained(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#watcher.blocked(false);
    this.#exchange.body.resume();
  }

  /** Nobody will ask for the request again. */
  forget(): void {
    this.#kept = undefined;
  }

  /** Leaves the rest of the body alone. Idempotent. */
  stop(): void {
    this.#call = undefined;
    this.#kept = undefined;
    if (!this.#isReading) return;
    this.#isReading = false;
    this.#exchange.body.off("data", this.#onData).off("end", this.#onEnd);
  }

  #wait(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#watcher.blocked(true);
  }

  readonly #onData = (chunk: Buffer): void => {
    const call = this.#call;
    if (call === undefined) {
      // A last one may come after `pause`. Kept whatever its length: whoever begins next has to get it.
      this.bytes += chunk.length;
      this.#kept?.push(chunk);
      return;
    }
    if (!this.#watcher.passing(this.bytes + chunk.length)) return;
    this.#keep(chunk);
    const isSpent = this.#kept === undefined && this.#exchange.ownsBody;
    if (call.write(chunk, isSpent) || this.#call !== call) return;
    this.#exchange.body.pause();
    this.#wait();
  };

  #keep(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.#kept === undefined) return;
    if (this.bytes > this.#maxKeptBytes) this.#kept = undefined;
    else this.#kept.push(chunk);
  }

  readonly #onEnd = (): void => {
    this.#ended = true;
    const call = this.#call;
    if (call === undefined) return;
    const { head } = this.#exchange;
    call.end(requestTrailers(this.#exchange.requestTrailers(), head.fields));
    this.#watcher.requestEnded();
  };
}
