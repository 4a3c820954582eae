import { Duplex } from "node:stream";
import { ignoreError } from "./base-exchange.js";

// What a side may hold unread before the other has to wait. Like the buffers of the kernel it must be larger than what
// node:http2 sends at once, because a session does not read while it writes: two of them would wait for each other.
const bufferBytes = 1024 * 1024;

// node:http's client stops to tell its writers of `drain` once the whole answer has come. Over TCP that is rarely seen,
// since the kernel takes what is written at once; so here a writer is not asked to wait for what is taken a tick later.
const writeBufferBytes = 256 * 1024;

// How many deliveries of one end may follow one another before the event loop gets its turn.
const deliveriesInATurn = 32;

type Done = (error?: Error | null) => void;

class MemorySocket extends Duplex {
  #peer: MemorySocket | undefined;
  /** Tells the peer that its write has been taken; held back while this side has enough to read. */
  #taken: Done | undefined;
  #deliveries = 0;

  constructor() {
    super({ readableHighWaterMark: bufferBytes, writableHighWaterMark: writeBufferBytes });
    // node:http takes its own listener off at the end of an answer, a tick before the error of a caller who gave up just
    // then is told; without this one it would end the process. Users of the connection see the error in their request.
    this.on("error", ignoreError);
  }

  static pair(): [MemorySocket, MemorySocket] {
    const one = new MemorySocket();
    const other = new MemorySocket();
    one.#peer = other;
    other.#peer = one;
    return [one, other];
  }

  override _read(): void {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send([chunk], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: Done): void {
    // In a tick of its own, like the chunks before it.
    process.nextTick(() => {
      const peer = this.#peer;
      if (peer !== undefined && !peer.destroyed) peer.push(null);
      done();
    });
  }

  override _destroy(error: Error | null, done: Done): void {
    const peer = this.#peer;
    this.#peer = undefined;
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.(connectionReset());
    const cut = !this.writableFinished;
    if (peer !== undefined) {
      process.nextTick(() => {
        peer.#peer = undefined;
        if (cut && !peer.destroyed) peer.destroy(connectionReset(error));
      });
    }
    done(error);
  }

  #send(chunks: readonly Buffer[], done: Done): void {
    // Never on the writer's stack: two protocol machines that call into each other would nest without limit.
    this.#later(() => {
      const peer = this.#peer;
      if (peer === undefined || peer.destroyed) return done(connectionReset());
      const hasRoom = peer.readableLength < bufferBytes;
      for (const chunk of chunks) if (chunk.length > 0) peer.push(chunk);
      if (hasRoom) done();
      else peer.#taken = done;
    });
  }

  // Ticks come before everything else in the process: two ends that always have something to say would keep the event
  // loop from its timers and sockets for ever. So now and then a delivery waits for the loop's next turn.
  #later(deliver: () => void): void {
    this.#deliveries += 1;
    if (this.#deliveries % deliveriesInATurn === 0) setImmediate(deliver);
    else process.nextTick(deliver);
  }

  /** As sockets have it, for servers that close a connection with its last answer. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  /** As `net.Socket` says it of a connection that stands: callers that wait for `connect` otherwise would wait for ever. */
  readonly readyState = "open";

  // What node:http's agents call on idle connections. There is no peer that could fall silent without a word,
  // so nothing times out.
  setKeepAlive(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

function connectionReset(cause?: Error | null): Error {
  const error = new Error("the other side of the connection in memory is gone", cause ? { cause } : undefined);
  return Object.assign(error, { code: "ECONNRESET" });
}

/**
 * Two ends of one connection inside this process, with the back pressure and half-close of a TCP connection. Destroying
 * an end before it was ended destroys the other with `ECONNRESET`. For `agent.createConnection` of node:http
 * and `accept` of our server; not for node:http2. Timeouts set on an end do nothing.
 */
export function connectInMemory(): [Duplex, Duplex] {
  return MemorySocket.pair();
}
