import type { FieldList } from "../http/exchange.js";
import { noFields } from "../http/field-list.js";
import { AnswerFault, type AnswerHead, parseAnswerHead, parseFieldLines, SpeaksHttp2 } from "./http1-head.js";
import { maxInformational } from "./response-headers.js";

/** Gets the parts of an answer in the order in which they come. */
export interface AnswerParts {
  /** A head: of a 1xx answer, after which another follows, or of the answer itself. */
  head(head: AnswerHead): void;
  data(chunk: Buffer): void;
  end(trailers: FieldList): void;
}

type State = "idle" | "head" | "length" | "chunk-size" | "chunk-data" | "chunk-end" | "trailers" | "until-close";

const crlf = Buffer.from("\r\n");
const endOfHead = Buffer.from("\r\n\r\n");
const empty = Buffer.alloc(0);
/** A chunk's size with extensions, which nobody uses and which could go on for ever. */
const maxChunkLineBytes = 4_096;

/**
 * Reads answers of HTTP/1.1 from a provider's connection as they come (RFC 9112), strictly: whatever could be understood in
 * two ways is a fault. Bodies are handed out as they arrive and never kept.
 */
export class AnswerParser {
  #state: State = "idle";
  #method = "";
  /** Bytes that belong to a head, line or trailers of which the end has not come. */
  #kept: Buffer = empty;
  #keptBytes = 0;
  /** Bytes of the body, or of its chunk, that are to come. */
  #left = 0;
  #informational = 0;

  constructor(
    readonly parts: AnswerParts,
    readonly maxHeaderBytes: number,
  ) {}

  /** Whether no answer is being waited for. */
  get idle(): boolean {
    return this.#state === "idle";
  }

  /** The next answer is for a request with this method. */
  expect(method: string): void {
    this.#state = "head";
    this.#method = method;
    this.#informational = 0;
  }

  /**
   * Takes the next bytes. Returns how many of them were used: less than all if something stands behind the end of the answer.
   *
   * @throws AnswerFault
   */
  push(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length && this.#state !== "idle") at = this.#step(chunk, at);
    return at;
  }

  /** The provider ended the connection. False if something was still to come. */
  finish(): boolean {
    if (this.#state === "until-close") this.#end(noFields);
    return this.#state === "idle";
  }

  #step(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case "head":
        return this.#readHead(chunk, at);
      case "until-close":
        this.parts.data(at === 0 ? chunk : chunk.subarray(at));
        return chunk.length;
      case "length":
      case "chunk-data":
        return this.#readBody(chunk, at);
      case "chunk-size":
        return this.#readLine(chunk, at, maxChunkLineBytes, (line) => this.#startChunk(line));
      case "chunk-end":
        return this.#readLine(chunk, at, 2, (line) => {
          if (line !== "") throw new AnswerFault("a chunk is longer than its size says");
          this.#state = "chunk-size";
        });
      case "trailers":
        return this.#readTrailers(chunk, at);
      case "idle":
        return at;
    }
  }

  #readHead(chunk: Buffer, at: number): number {
    // At once, because nothing that ends a head may ever come.
    if (this.#keptBytes === 0 && chunk[at] !== 0x48) throw notHttp1(chunk.subarray(at));
    const [text, next] = this.#take(chunk, at, endOfHead, this.maxHeaderBytes);
    if (text === undefined) return next;
    const head = parseAnswerHead(text, this.#method);
    if (head.status < 200) {
      if (head.status === 101 || ++this.#informational > maxInformational) {
        throw new AnswerFault(`the provider sent ${head.status} where that is not possible`);
      }
      this.parts.head(head);
      return next;
    }
    const { framing } = head;
    if (framing.kind === "length") this.#left = framing.bytes;
    this.#state = framing.kind === "none" ? "idle" : framing.kind === "chunked" ? "chunk-size" : framing.kind;
    this.parts.head(head);
    if (framing.kind === "none") this.parts.end(noFields);
    return next;
  }

  #readBody(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#left -= end - at;
    const isLast = this.#left === 0 && this.#state === "length";
    if (this.#left === 0 && this.#state === "chunk-data") this.#state = "chunk-end";
    this.parts.data(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end));
    if (isLast) this.#end(noFields);
    return end;
  }

  #startChunk(line: string): void {
    // Extensions mean nothing to anybody and are not passed on.
    const match = /^([0-9a-fA-F]{1,12})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line);
    if (match === null) throw new AnswerFault(`a chunk's size is ${JSON.stringify(line.slice(0, 40))}`);
    this.#left = Number.parseInt(match[1] as string, 16);
    this.#state = this.#left === 0 ? "trailers" : "chunk-data";
  }

  #readTrailers(chunk: Buffer, at: number): number {
    // Nearly always there are none, and the empty line follows at once.
    if (this.#keptBytes === 0 && chunk[at] === 0x0d && chunk[at + 1] === 0x0a) {
      this.#end(noFields);
      return at + 2;
    }
    if (this.#keptBytes === 1 && this.#kept[0] === 0x0d && chunk[at] === 0x0a) {
      this.#keptBytes = 0;
      this.#end(noFields);
      return at + 1;
    }
    const [text, next] = this.#take(chunk, at, endOfHead, this.maxHeaderBytes);
    if (text !== undefined) this.#end(parseFieldLines(text, 0));
    return next;
  }

  #readLine(chunk: Buffer, at: number, maxBytes: number, found: (line: string) => void): number {
    const [text, next] = this.#take(chunk, at, crlf, maxBytes);
    if (text !== undefined) found(text);
    return next;
  }

  /** The text up to `mark` and where it goes on behind that; keeps the bytes while the mark has not come. */
  #take(chunk: Buffer, at: number, mark: Buffer, maxBytes: number): [text: string | undefined, next: number] {
    if (this.#keptBytes === 0) {
      const found = chunk.indexOf(mark, at);
      if (found !== -1) {
        if (found - at > maxBytes) throw tooLong(maxBytes);
        return [chunk.toString("latin1", at, found), found + mark.length];
      }
    }
    const before = this.#keptBytes;
    this.#keep(chunk, at, maxBytes + mark.length);
    const found = this.#kept.subarray(0, this.#keptBytes).indexOf(mark, Math.max(0, before - mark.length + 1));
    if (found === -1) {
      if (this.#keptBytes >= maxBytes + mark.length) throw tooLong(maxBytes);
      return [undefined, chunk.length];
    }
    const text = this.#kept.toString("latin1", 0, found);
    this.#keptBytes = 0;
    if (this.#kept.length > 4_096) this.#kept = empty;
    return [text, at + found + mark.length - before];
  }

  /** Keeps as much as may be looked at, in a buffer that doubles, so that byte by byte costs no more than all at once. */
  #keep(chunk: Buffer, at: number, maxBytes: number): void {
    const end = Math.min(chunk.length, at + maxBytes - this.#keptBytes);
    const needed = this.#keptBytes + end - at;
    if (needed > this.#kept.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(256, needed, this.#kept.length * 2));
      this.#kept.copy(larger, 0, 0, this.#keptBytes);
      this.#kept = larger;
    }
    chunk.copy(this.#kept, this.#keptBytes, at, end);
    this.#keptBytes = needed;
  }

  #end(trailers: FieldList): void {
    this.#state = "idle";
    this.parts.end(trailers);
  }
}

function notHttp1(bytes: Buffer): AnswerFault {
  // SETTINGS on stream 0, the first that a server of HTTP/2 sends (RFC 9113, 3.4 and 6.5).
  const isSettings =
    bytes.length >= 9 && bytes.readUIntBE(0, 3) % 6 === 0 && bytes[3] === 4 && bytes.readUInt32BE(5) === 0;
  return isSettings ? new SpeaksHttp2() : new AnswerFault("the answer does not begin like one of HTTP/1.1");
}

const tooLong = (maxBytes: number): AnswerFault =>
  new AnswerFault(`a head, trailers or line of the answer is longer than ${maxBytes} bytes`);
