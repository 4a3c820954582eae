import type { ConnectionOptions } from "node:tls";
import { Http2Call, type Http2CallOwner } from "./http2-call.js";
import { type Http2Options, type SessionOwner, UpstreamSession } from "./http2-session.js";
import type { TargetAddress } from "./target-address.js";
import type { Upstream, UpstreamCall, UpstreamEvents, UpstreamFailure, UpstreamRequest } from "./upstream.js";

/** Tells whether a provider speaks HTTP/2, as far as connecting to it has shown. */
export type ProbeResult =
  | { readonly kind: "speaks" }
  | { readonly kind: "does-not-speak" }
  | { readonly kind: "unreachable"; readonly failure: UpstreamFailure };

/** Calls one provider over as many HTTP/2 connections as its limits ask for. */
export class Http2Upstream implements Upstream, SessionOwner, Http2CallOwner {
  readonly #sessions = new Set<UpstreamSession>();
  /** Calls and probes that wait for a session to be ready. */
  readonly #waitingCalls = new Set<Http2Call>();
  readonly #waitingProbes: ((result: ProbeResult) => void)[] = [];
  #closed = false;
  /** The certificates that all sessions were opened with. */
  #tls: ConnectionOptions | undefined;

  constructor(
    readonly target: TargetAddress,
    readonly options: Http2Options,
  ) {
    this.#tls = target.tls?.connection;
  }

  start(request: UpstreamRequest, events: UpstreamEvents): UpstreamCall {
    const call = new Http2Call(this, request, events);
    // Later, because the caller of `start` is not ready for events yet.
    process.nextTick(() => this.place(call));
    return call;
  }

  /** Connects, if need be, and tells whether HTTP/2 is spoken there. */
  probe(tell: (result: ProbeResult) => void): void {
    this.renew();
    for (const session of this.#sessions) {
      if (session.capacity > 0) {
        process.nextTick(tell, { kind: "speaks" } satisfies ProbeResult);
        return;
      }
    }
    this.#waitingProbes.push(tell);
    this.#connectFor(1);
  }

  /** Puts a call on a session that has room, or lets it wait for one. */
  place(call: Http2Call): void {
    if (call.over) return;
    this.renew();
    for (const session of this.#sessions) {
      if (session.capacity > 0) {
        call.begin(session);
        return;
      }
    }
    this.#waitingCalls.add(call);
    this.#connectFor(this.#waitingCalls.size);
  }

  forget(call: Http2Call): void {
    this.#waitingCalls.delete(call);
  }

  /**
   * Whether certificates were replaced: the sessions opened with the old ones take no more calls then, and whoever waits
   * for one of them waits for another.
   */
  renew(): boolean {
    const tls = this.target.tls?.connection;
    if (tls === this.#tls) return false;
    this.#tls = tls;
    for (const session of [...this.#sessions]) session.retire();
    if (this.#waitingProbes.length > 0) this.#connectFor(1);
    this.placeWaiting();
    return true;
  }

  close(): void {
    this.#closed = true;
    for (const session of [...this.#sessions]) session.retire();
    this.#failWaiting({ kind: "unreachable", message: "the provider's connections are being closed" }, false);
  }

  sessionReady(session: UpstreamSession): void {
    if (this.renew()) return;
    for (const tell of this.#waitingProbes.splice(0)) tell({ kind: "speaks" });
    if (session.capacity < 1) {
      session.retire();
      this.#failWaiting({ kind: "unreachable", message: "the provider allows no HTTP/2 streams" }, false);
      return;
    }
    this.placeWaiting();
  }

  placeWaiting(): void {
    this.renew();
    if (this.#waitingCalls.size === 0) return;
    for (const call of [...this.#waitingCalls]) {
      this.#waitingCalls.delete(call);
      this.place(call);
    }
  }

  sessionFailed(_session: UpstreamSession, failure: UpstreamFailure, spokeOtherwise: boolean): void {
    this.#failWaiting(failure, spokeOtherwise);
  }

  sessionRetired(session: UpstreamSession): void {
    this.#sessions.delete(session);
  }

  /** Opens sessions until those being opened are enough for `calls`, as far as can be known now. */
  #connectFor(calls: number): void {
    if (this.#closed) {
      this.#failWaiting({ kind: "unreachable", message: "the provider's connections are closed" }, false);
      return;
    }
    let connecting = 0;
    for (const session of this.#sessions) if (session.connecting) connecting++;
    if (connecting * this.options.maxStreamsPerSession >= calls) return;
    this.#sessions.add(new UpstreamSession(this.target, this, this.options));
  }

  #failWaiting(failure: UpstreamFailure, spokeOtherwise: boolean): void {
    const result: ProbeResult = spokeOtherwise ? { kind: "does-not-speak" } : { kind: "unreachable", failure };
    for (const tell of this.#waitingProbes.splice(0)) tell(result);
    for (const call of [...this.#waitingCalls]) {
      this.#waitingCalls.delete(call);
      call.fail(failure);
    }
  }
}
