import type { Duplex } from "node:stream";
import type { FieldList } from "../http/exchange.js";
import type { WriteBatch } from "../http/write-batch.js";
import { AnswerParser, type AnswerParts } from "./http1-answer-parser.js";
import type { AnswerHead } from "./http1-head.js";
import type { MemoryRelease } from "./memory-release.js";

/** One call on a connection. Nothing comes after `lost`, or once the call let go. */
export interface ConnectionUser {
  head(head: AnswerHead): void;
  data(chunk: Buffer): void;
  /** The answer is complete. */
  finished(trailers: FieldList): void;
  /** What was written has left after `write` said false. */
  drained(): void;
  /** The connection failed, or the answer on it was not one. */
  lost(error: Error): void;
}

/** Is told when a connection changes hands. */
export interface ConnectionOwner {
  /** The connection has carried a whole call and may carry another. */
  connectionFree(connection: Http1Connection): void;
  connectionClosed(connection: Http1Connection): void;
  /** With what heads, and small bodies with them, leave. */
  readonly batch: WriteBatch;
  /** Takes memory that has left; undefined if what is written stays somebody else's, as on connections in memory. */
  readonly memoryRelease: MemoryRelease | undefined;
}

/** The part of a socket that connections in memory lack. */
interface Referable {
  ref?(): unknown;
  unref?(): unknown;
}

/**
 * One HTTP/1.1 connection to a provider: carries one call at a time and is kept only if nothing about that call is in doubt.
 * Bytes that come while no answer is awaited close it, so that they are never taken for the answer to the next call.
 */
export class Http1Connection implements AnswerParts {
  /** Monotonic time after which the connection must not be used again; set while it is free. */
  idleUntil = 0;
  /** What the last answer said of the provider's patience. */
  keepAlive: string | undefined;
  readonly #socket: Duplex;
  readonly #owner: ConnectionOwner;
  readonly #parser: AnswerParser;
  #user: ConnectionUser | undefined;
  #keepsAlive = true;
  /** Whether the request is with the connection as a whole. */
  #requestEnded = false;
  /** Whether the bytes being read are overwritten by the next read. */
  #isLent = false;

  constructor(socket: Duplex, owner: ConnectionOwner, maxHeaderBytes: number) {
    this.#socket = socket;
    this.#owner = owner;
    this.#parser = new AnswerParser(this, maxHeaderBytes);
    socket.on("end", () => this.#onEnd());
    socket.on("drain", () => this.#user?.drained());
    socket.on("error", (error) => this.#lose(error));
    socket.on("close", () => {
      this.#owner.connectionClosed(this);
      this.#lose(closedEarly());
    });
  }

  get usable(): boolean {
    return this.#socket.writable && !this.#socket.destroyed;
  }

  /** Begins a call; `method` decides whether its answer has a body. */
  begin(user: ConnectionUser, method: string): void {
    this.#user = user;
    this.#requestEnded = false;
    this.#keepsAlive = true;
    this.#parser.expect(method);
    (this.#socket as Referable).ref?.();
  }

  /** @param isSpent nobody else will look at `data`: its memory may be given back when it has left */
  write(data: Buffer, isSpent: boolean): boolean {
    const release = isSpent ? this.#owner.memoryRelease : undefined;
    if (release === undefined || !release.pays(data)) return this.#socket.write(data);
    return this.#socket.write(data, () => release.release(data));
  }

  /** Writes a text of which every character is one byte. */
  writeLatin1(text: string): boolean {
    this.#owner.batch.hold(this.#socket);
    return this.#socket.write(text, "latin1");
  }

  /** Holds back what is written until `uncork`, so that it leaves in one piece. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  /** The whole request was written. */
  requestEnded(): void {
    this.#requestEnded = true;
  }

  /** Whether all of the request has left. */
  get sent(): boolean {
    return this.#requestEnded && this.#socket.writableLength === 0;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Gives up whatever goes on. Idempotent. */
  destroy(): void {
    this.#user = undefined;
    this.#socket.destroy();
  }

  head(head: AnswerHead): void {
    this.#keepsAlive = head.keepsAlive;
    this.keepAlive = head.keepAlive;
    this.#user?.head(head);
  }

  data(chunk: Buffer): void {
    this.#user?.data(this.#isLent ? Buffer.from(chunk) : chunk);
  }

  end(trailers: FieldList): void {
    const reusable = this.#keepsAlive && this.sent;
    const user = this.#user;
    this.#user = undefined;
    user?.finished(trailers);
    // What is left of the request would be taken for the beginning of the next one.
    if (!reusable) this.#socket.destroy();
  }

  /**
   * Takes what was read. With `isLent` the bytes are overwritten by the next read.
   */
  read(chunk: Buffer, isLent: boolean): void {
    this.#isLent = isLent;
    const wasBusy = !this.#parser.idle;
    try {
      const used = this.#parser.push(chunk);
      if (used < chunk.length) this.#socket.destroy();
      // Only here, when it is certain that nothing stands behind the answer.
      else if (wasBusy && this.#parser.idle && !this.#socket.destroyed) this.#release();
    } catch (error) {
      this.#lose(error as Error);
    }
  }

  #onEnd(): void {
    this.#keepsAlive = false;
    if (this.#parser.finish()) this.#socket.destroy();
    else this.#lose(closedEarly());
  }

  #release(): void {
    // A reader that was slow at the end of its answer may have left the connection paused.
    this.#socket.resume();
    (this.#socket as Referable).unref?.();
    this.#owner.connectionFree(this);
  }

  #lose(error: Error): void {
    const user = this.#user;
    this.#user = undefined;
    this.#socket.destroy();
    user?.lost(error);
  }
}

const closedEarly = (): Error => new Error("the connection was closed before the answer was complete");
