import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex, Readable, Writable } from "node:stream";
import { BaseExchange, type ExchangeOptions, ignoreError, isBodyless } from "./base-exchange.js";
import type { ConnectionInfo, FieldList } from "./exchange.js";
import { fieldValue, hasField, noFields, toFieldList, toFieldObject } from "./field-list.js";
import { Http1Head } from "./http1-request-head.js";
import { isInterim, toInterimHead } from "./interim-answer.js";
import { RequestDrain } from "./request-drain.js";
import type { WriteBatch } from "./write-batch.js";

/** What an exchange over HTTP/1.1 may be given. */
export interface Http1ExchangeOptions extends ExchangeOptions {
  /** What is known of the connection. @default what the socket says */
  readonly connection?: ConnectionInfo;
  /** With what the end of an answer leaves. @default at once */
  readonly batch?: WriteBatch;
  /** Whether nobody else has the request's object. @default false */
  readonly ownsBody?: boolean;
}

const nothing = Buffer.alloc(0);
/** Up to here the beginning of a body is joined with the head. */
const maxJoinedBytes = 4_096;
/** How long a caller who goes on sending is left to read the answer before the connection ends. */
const lingerMs = 1_000;
/** What 1xx answers may take that wait for the answers in front of theirs. */
const maxInterimBytes = 16_384;

/**
 * An exchange over HTTP/1.1 (or 1.0). A caller who closes its sending side counts as gone, as node:http has it.
 * While `body` is full and nobody reads it, a caller who goes away is seen only when it is read again or written to.
 * Destroying `body` before its end closes the connection.
 */
export class Http1Exchange extends BaseExchange {
  readonly head: Http1Head;
  /** The objects of node:http underneath, for handlers written for them. */
  readonly raw: { readonly req: IncomingMessage; readonly res: ServerResponse };
  readonly #batch: WriteBatch | undefined;
  readonly #ownsBody: boolean;
  #drain: RequestDrain | undefined;
  /** What was written and waits with the head for a tick; `nothing` while only the head does. */
  #held: Buffer | string | undefined;
  /** 1xx answers that wait for the answers in front of this one. */
  #interim = "";

  /** @param continueWanted the caller waits for `100 Continue` and node:http has not sent it, as in `checkContinue` */
  constructor(
    req: IncomingMessage,
    res: ServerResponse,
    options: Http1ExchangeOptions = {},
    continueWanted: boolean = false,
  ) {
    super(options);
    this.raw = { req, res };
    this.head = new Http1Head(req, options.connection);
    this.#batch = options.batch;
    this.#ownsBody = options.ownsBody ?? false;
    (res as OwnedResponse)[exchangeOf] = this;
    res.on("finish", onFinish).on("close", onClose).on("error", ignoreError);
    if (res.socket === null) this.#watchConnection();
    if (continueWanted) this.#continueOnRead();
  }

  get body(): Readable {
    return this.raw.req;
  }

  override get ownsBody(): boolean {
    return this.#ownsBody;
  }

  get bodyless(): boolean {
    const headers = this.raw.req.headers;
    const length = headers["content-length"];
    return headers["transfer-encoding"] === undefined && (length === undefined || /^0+$/.test(length));
  }

  get responded(): boolean {
    return this.raw.res.headersSent;
  }

  get response(): Writable {
    this.release();
    return this.raw.res;
  }

  requestTrailers(): FieldList {
    const { rawTrailers } = this.raw.req;
    return rawTrailers.length === 0 ? noFields : toFieldList(rawTrailers);
  }

  informational(status: number, fields: FieldList): void {
    const { res } = this.raw;
    if (this.#unusable() || res.headersSent || this.head.httpVersion === "1.0" || !isInterim(status)) return;
    const head = toInterimHead(status, fields);
    if (head === undefined) return;
    const { socket } = res;
    if (socket !== null) {
      // A caller who reads slowly does without rather than that they pile up.
      if (socket.writable && !socket.writableNeedDrain) socket.write(head, "latin1");
    } else if (this.#interim.length + head.length <= maxInterimBytes) {
      // Node says that it is an answer's turn before it sends what was written of that one.
      if (this.#interim === "") res.once("socket", (itsTurn) => itsTurn.write(this.#interim, "latin1"));
      this.#interim += head;
    }
  }

  respond(status: number, fields: FieldList, endOfAnswer = false): void {
    if (this.#unusable()) return;
    const { req, res } = this.raw;
    if (this.owner?.closing === true || this.#tooMuchToDrop() || fieldValue(fields, "connection") === "close") {
      res.shouldKeepAlive = false;
    }
    let sent = fields;
    if (endOfAnswer && req.method !== "HEAD" && !isBodyless(status) && !hasField(fields, "content-length")) {
      sent = [...fields, "content-length", "0"];
    }
    // Bytes that are missing would be taken from the next answer on the connection, and those too many for one.
    res.strictContentLength = true;
    // With fields of a framework on it, node:http would keep only the last of several values of a name.
    if (res.getHeaderNames().length > 0) res.writeHead(status, toFieldObject(sent));
    else res.writeHead(status, sent as string[]);
    if (endOfAnswer) return this.end();
    // The head must not wait for the body, but share a packet with it if that follows at once.
    this.#held = nothing;
    process.nextTick(release, this);
  }

  override write(chunk: Buffer): boolean {
    // With the head as one text it is a single write; two buffers at once cost more than making a text of a small one.
    if (this.#held === nothing && chunk.length <= maxJoinedBytes) {
      this.#held = chunk;
      return true;
    }
    this.release();
    return this.#unlessWrongLength(() => this.raw.res.write(chunk)) ?? true;
  }

  override reply(status: number, fields: FieldList, body: Uint8Array | string): void {
    const isAscii = typeof body === "string" && Buffer.byteLength(body) === body.length;
    if (!isAscii || body.length > maxJoinedBytes) return super.reply(status, fields, body);
    this.respond(status, fields);
    if (this.#held === nothing) this.#held = body;
    this.end();
  }

  /** Sends the head, and the beginning of the body if it waits with it. */
  release(): void {
    const held = this.#held;
    const { req, res } = this.raw;
    this.#held = undefined;
    if (held === undefined || this.#unusable()) return;
    if (held !== nothing) this.#unlessWrongLength(() => res.write(textOf(held), "latin1"));
    // `flushHeaders` writes the head as UTF-8, which makes two bytes of some; where there is no body nothing else does it.
    else if (req.method === "HEAD" || isBodyless(res.statusCode)) res.flushHeaders();
    else res.write(nothing);
  }

  end(trailers?: FieldList): void {
    const { req, res } = this.raw;
    if (this.#unusable() || res.writableEnded) return;
    const held = this.#held;
    this.#held = undefined;
    if (trailers !== undefined && trailers.length > 0) {
      const pairs: [string, string][] = [];
      for (let index = 0; index + 1 < trailers.length; index += 2) {
        pairs.push([trailers[index] as string, trailers[index + 1] as string]);
      }
      res.addTrailers(pairs);
    }
    if (!req.complete) this.#dropRequest();
    if (res.socket !== null) this.#batch?.hold(res.socket);
    this.#unlessWrongLength(() => {
      if (held === undefined || held === nothing) res.end();
      else res.end(textOf(held), "latin1");
    });
  }

  /** Cuts the answer off if it does not have the length that its head has announced. */
  #unlessWrongLength<T>(write: () => T): T | undefined {
    try {
      return write();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ERR_HTTP_CONTENT_LENGTH_MISMATCH") throw error;
      this.abort();
      return undefined;
    }
  }

  abort(): void {
    if (this.ended !== undefined) return;
    const { req, res } = this.raw;
    const { socket, httpVersionMinor } = req;
    this.settle("aborted");
    // The answers in front are nobody's to cut. Of this one nothing has left yet, so that the end is enough.
    if (res.socket === null && !socket.destroyed) return void res.once("socket", endConnection);
    // Where the end of the connection is the end of the answer, only a reset tells that something is missing.
    if (httpVersionMinor === 0 && "resetAndDestroy" in socket) socket.resetAndDestroy();
    else socket.destroy();
  }

  #unusable(): boolean {
    return this.ended !== undefined || this.raw.res.destroyed;
  }

  #tooMuchToDrop(): boolean {
    const { req } = this.raw;
    return !req.complete && Number(req.headers["content-length"] ?? 0) > this.drainLimits.maxBytes;
  }

  #dropRequest(): void {
    const { req, res } = this.raw;
    const socket = req.socket;
    const lost = (): void => void req.destroy();
    // node:http forgets a request whose answer is out: nobody else would tell its readers that the connection is lost.
    socket.once("close", lost);
    const { destroySoon } = socket;
    // node:http would close the socket with the answer; what the caller still sends would then be answered with a
    // reset, which can destroy the answer before it is read. So only our side ends, until the rest is read.
    if (!res.shouldKeepAlive && typeof destroySoon === "function") socket.destroySoon = () => void socket.end();
    this.#drain = new RequestDrain(req, { ...this.drainLimits, lingerMs }, this.clock, (exceeded) => {
      socket.off("close", lost);
      if (exceeded) {
        req.destroy();
        return void socket.destroy();
      }
      if (!res.shouldKeepAlive && typeof destroySoon === "function") {
        socket.destroySoon = destroySoon;
        if (res.writableFinished) socket.destroySoon();
      }
      if (this.ended?.kind === "completed" && !socket.destroyed) this.owner?.exchangeReleased(this);
    });
  }

  /** The answer has left. Called by the answer object. */
  finished(): void {
    const { req } = this.raw;
    // Also called when the last write failed because the connection broke.
    if (req.socket.destroyed) return;
    if (!req.complete && this.#drain === undefined && !req.readableFlowing) this.#dropRequest();
    this.settle("completed");
    if (this.#drain === undefined) this.owner?.exchangeReleased(this);
    else this.#drain.answerSent();
  }

  /** The connection is lost, or the answer over. Called by the answer object. */
  closed(): void {
    if (this.ended === undefined) this.#drain?.cancel();
    this.settle("caller-gone");
  }

  /** A request behind another one on its connection has no answer object that would tell of the connection's end. */
  #watchConnection(): void {
    const { req, res } = this.raw;
    const { socket } = req;
    // As many as the caller sends at once, so no sign of a leak.
    socket.setMaxListeners(0);
    const closed = (): void => this.closed();
    socket.once("close", closed);
    res.once("close", () => socket.off("close", closed));
  }

  #continueOnRead(): void {
    const { req, res } = this.raw;
    const read = req._read;
    req._read = (size: number): void => {
      req._read = read;
      if (!res.headersSent && !this.#unusable()) res.writeContinue();
      req._read(size);
    };
  }
}

const textOf = (held: Buffer | string): string => (typeof held === "string" ? held : held.toString("latin1"));

// Functions for all answers, which find their exchange: two closures less for each request.
const exchangeOf = Symbol("exchange");
type OwnedResponse = ServerResponse & { [exchangeOf]?: Http1Exchange };

function onFinish(this: OwnedResponse): void {
  this[exchangeOf]?.finished();
}

function onClose(this: OwnedResponse): void {
  this[exchangeOf]?.closed();
}

/** After what was written to it. */
export function endConnection(socket: Duplex): void {
  if ("destroySoon" in socket && typeof socket.destroySoon === "function") socket.destroySoon();
  else socket.end();
}

function release(exchange: Http1Exchange): void {
  exchange.release();
}
