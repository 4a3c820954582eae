import type { Duplex } from "node:stream";
import type { ConnectionOptions } from "node:tls";
import { WriteBatch } from "../http/write-batch.js";
import type { Clock, Timer } from "../internal/clock.js";
import { dial, readsDirectly } from "./dial.js";
import { dialFailure } from "./dial-failure.js";
import { Http1Call } from "./http1-call.js";
import { Http1Connection } from "./http1-connection.js";
import { idleMsFor } from "./idle-time.js";
import { MemoryRelease } from "./memory-release.js";
import { ReadMemory, sharedMemory } from "./read-memory.js";
import type { TargetAddress } from "./target-address.js";
import type { Upstream, UpstreamCall, UpstreamEvents, UpstreamFailure, UpstreamRequest } from "./upstream.js";

/** What HTTP/1.1 calls of one provider share. */
export interface Http1Options {
  readonly clock: Clock;
  readonly connectTimeoutMs: number;
  readonly idleSocketMs: number;
  readonly maxHeaderBytes: number;
}

/** Connections that are kept without a call. */
const maxFree = 1_024;

/** What is due this soon is closed as well, so that many connections that grow old one after the other share timers. */
const closedTogetherMs = 20;

/** Calls one provider over a pool of HTTP/1.1 connections. */
export class Http1Upstream implements Upstream {
  /** The one used last stands at the end and is used first, so that those that are not needed grow old. */
  readonly #free: Http1Connection[] = [];
  readonly batch = new WriteBatch();
  /** In memory the other end gets the pieces themselves. */
  readonly memoryRelease: MemoryRelease | undefined;
  readonly #memory = sharedMemory();
  /** Fires when the first of the free connections has to go, or before that. */
  #expiry: { readonly at: number; readonly timer: Timer } | undefined;
  #closed = false;
  /** The certificates that the connections are made with. */
  readonly #tls: ConnectionOptions | undefined;

  constructor(
    readonly target: TargetAddress,
    readonly options: Http1Options,
  ) {
    this.#tls = target.tls?.connection;
    this.memoryRelease = target.connect === undefined ? new MemoryRelease() : undefined;
  }

  /** Whether its certificates were replaced: then another takes its place, and no connection is kept. */
  get isOutdated(): boolean {
    return this.target.tls?.connection !== this.#tls;
  }

  start(request: UpstreamRequest, events: UpstreamEvents): UpstreamCall {
    const call = new Http1Call(request, events, this.target.authority, this.options.clock);
    const connection = this.#takeFree();
    if (connection !== undefined) call.begin(connection);
    else this.#dialFor(call);
    return call;
  }

  close(): void {
    this.#closed = true;
    this.#expiry?.timer.cancel();
    for (const connection of this.#free.splice(0)) connection.destroy();
  }

  connectionFree(connection: Http1Connection): void {
    const { clock, idleSocketMs } = this.options;
    const idleMs = idleMsFor(connection.keepAlive, idleSocketMs);
    if (this.#closed || this.isOutdated || idleMs < 1 || this.#free.length >= maxFree) return connection.destroy();
    connection.idleUntil = clock.monotonic() + idleMs;
    this.#free.push(connection);
    this.#closeOldBy(connection.idleUntil);
  }

  connectionClosed(connection: Http1Connection): void {
    const at = this.#free.lastIndexOf(connection);
    if (at !== -1) this.#free.splice(at, 1);
  }

  #takeFree(): Http1Connection | undefined {
    if (this.#free.length === 0) return undefined;
    const now = this.options.clock.monotonic();
    for (let connection = this.#free.pop(); connection !== undefined; connection = this.#free.pop()) {
      if (connection.usable && connection.idleUntil > now) return connection;
      connection.destroy();
    }
    return undefined;
  }

  #closeOldBy(at: number): void {
    // One that is set for a connection in use by now is left to fire: taking it off at each call would cost more.
    if (this.#expiry !== undefined && this.#expiry.at <= at) return;
    this.#expiry?.timer.cancel();
    const { clock } = this.options;
    this.#expiry = { at, timer: clock.after(at - clock.monotonic(), this.#closeOld) };
  }

  readonly #closeOld = (): void => {
    this.#expiry = undefined;
    const due = this.options.clock.monotonic() + closedTogetherMs;
    let next = Number.POSITIVE_INFINITY;
    for (const connection of [...this.#free]) {
      if (connection.idleUntil <= due) connection.destroy();
      else next = Math.min(next, connection.idleUntil);
    }
    if (next !== Number.POSITIVE_INFINITY) this.#closeOldBy(next);
  };

  #dialFor(call: Http1Call): void {
    const { target, options } = this;
    let socket: Duplex & { readonly connecting?: boolean };
    let connection: Http1Connection | undefined;
    const memory = new ReadMemory(this.#memory);
    const callback = (bytes: number, buffer: Uint8Array): boolean => {
      const { chunk, isLent } = memory.take(bytes, buffer);
      connection?.read(chunk, isLent);
      return true;
    };
    try {
      socket = dial(target, ["http/1.1"], { buffer: memory.next, callback });
    } catch (error) {
      const { message } = error as Error;
      process.nextTick(() => call.fail({ kind: "unreachable", message }));
      return;
    }
    const begin = (): void => {
      const made = new Http1Connection(socket, this, options.maxHeaderBytes);
      connection = made;
      if (!readsDirectly(target)) socket.on("data", (chunk: Buffer) => made.read(chunk, false));
      call.begin(made);
    };
    if (!target.secure && socket.connecting !== true) return begin();
    const over = (): void => {
      timer.cancel();
      socket.off("error", failed).off("close", closed).off(connected, ready);
    };
    const give = (failure: UpstreamFailure): void => {
      over();
      socket.on("error", ignore).destroy();
      call.fail(failure);
    };
    const failed = (error: Error): void => give(dialFailure(error));
    const closed = (): void => give({ kind: "unreachable", message: "the connection was closed before it was made" });
    const ready = (): void => {
      over();
      begin();
    };
    const connected = target.secure ? "secureConnect" : "connect";
    const timer = options.clock.after(options.connectTimeoutMs, () =>
      give({ kind: "timeout", message: `no connection within ${options.connectTimeoutMs} ms` }),
    );
    call.onCancel = () => {
      over();
      socket.on("error", ignore).destroy();
    };
    socket.on("error", failed).on("close", closed).on(connected, ready);
  }
}

const ignore = (): void => {};
