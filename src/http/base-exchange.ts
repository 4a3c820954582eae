import type { Readable, Writable } from "node:stream";
import { type Clock, systemClock } from "../internal/clock.js";
import type { ExchangeEnd, FieldList, RequestHead, ServerExchange } from "./exchange.js";
import type { DrainLimits } from "./request-drain.js";

/** What an exchange tells the connection that it belongs to. */
export interface ExchangeOwner {
  /** Whether the connection should end after this exchange. */
  readonly closing: boolean;
  /** The exchange has ended; of its request something may be left. */
  exchangeEnded(exchange: ServerExchange): void;
  /** The answer is out and the request read: the connection is free. Not called if it is lost. */
  exchangeReleased(exchange: ServerExchange): void;
}

/** What an exchange needs beside the objects of Node. */
export interface ExchangeOptions {
  /** @default 16 MiB, 5 s */
  readonly drain?: DrainLimits;
  /** @default the system's */
  readonly clock?: Clock;
  readonly owner?: ExchangeOwner | undefined;
}

const defaultDrainLimits: DrainLimits = Object.freeze({ maxBytes: 16 * 1024 * 1024, timeoutMs: 5_000 });

const completed: ExchangeEnd = Object.freeze({ kind: "completed" });
const callerGone: ExchangeEnd = Object.freeze({ kind: "caller-gone" });
const aborted: ExchangeEnd = Object.freeze({ kind: "aborted" });
const ends = { completed, "caller-gone": callerGone, aborted } as const;

/** Statuses whose answers never have a body. */
export const isBodyless = (status: number): boolean => status === 204 || status === 205 || status === 304;

/** For errors that are told in another way too, and would end the process without a listener. */
export const ignoreError = (): void => {};

/** The same bytes as a buffer, without a copy of them. */
export function asBuffer(body: Uint8Array | string): Buffer {
  if (typeof body === "string") return Buffer.from(body, "utf8");
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

/** The part of an exchange that does not depend on the HTTP version: how it ends, and who is told. */
export abstract class BaseExchange implements ServerExchange {
  abstract readonly head: RequestHead & { target: string };
  abstract readonly body: Readable;
  abstract readonly bodyless: boolean;
  abstract readonly responded: boolean;
  abstract readonly response: Writable;
  abstract requestTrailers(): FieldList;
  abstract informational(status: number, fields: FieldList): void;
  abstract respond(status: number, fields: FieldList, endOfAnswer?: boolean): void;
  abstract end(trailers?: FieldList): void;
  abstract abort(): void;

  protected readonly drainLimits: DrainLimits;
  protected readonly clock: Clock;
  protected readonly owner: ExchangeOwner | undefined;
  #ended: ExchangeEnd | undefined;
  // Nearly every exchange has one listener: no array for that.
  #listener: ((end: ExchangeEnd) => void) | undefined;
  #moreListeners: ((end: ExchangeEnd) => void)[] | undefined;

  constructor(options: ExchangeOptions) {
    this.drainLimits = options.drain ?? defaultDrainLimits;
    this.clock = options.clock ?? systemClock;
    this.owner = options.owner;
  }

  get ownsBody(): boolean {
    return false;
  }

  write(chunk: Buffer): boolean {
    return this.response.write(chunk);
  }

  reply(status: number, fields: FieldList, body: Uint8Array | string): void {
    this.respond(status, fields);
    if (this.ended === undefined) this.write(asBuffer(body));
    this.end();
  }

  retarget(target: string): void {
    this.head.target = target;
  }

  get ended(): ExchangeEnd | undefined {
    return this.#ended;
  }

  onEnd(listener: (end: ExchangeEnd) => void): void {
    if (this.#ended !== undefined) listener(this.#ended);
    else if (this.#listener === undefined) this.#listener = listener;
    else if (this.#moreListeners === undefined) this.#moreListeners = [listener];
    else this.#moreListeners.push(listener);
  }

  /** Only the first call counts. */
  protected settle(kind: ExchangeEnd["kind"]): void {
    if (this.#ended !== undefined) return;
    const end = ends[kind];
    this.#ended = end;
    this.owner?.exchangeEnded(this);
    const listener = this.#listener;
    const more = this.#moreListeners;
    this.#listener = undefined;
    this.#moreListeners = undefined;
    listener?.(end);
    if (more !== undefined) for (const next of more) next(end);
  }
}
