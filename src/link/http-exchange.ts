import type { ConnectionInfo, FieldList, RequestHead } from "../http/exchange.js";
import { fieldValue, joinCookies } from "../http/field-list.js";
import { type HeadLimits, http2Refusal, type Refusal } from "../http/request-check.js";
import { resetCode } from "./frame.js";
import { okEnd } from "./head-codec.js";
import type { LinkStream } from "./link-stream.js";
import { StreamExchange } from "./stream-exchange.js";

// Fields of one connection, which have no meaning here and a dangerous one behind.
const ofConnection: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

class LinkRequestHead implements RequestHead {
  readonly method: string;
  target: string;
  readonly authority: string;
  readonly httpVersion = "2";
  readonly fields: FieldList;

  constructor(
    stream: LinkStream,
    readonly connection: ConnectionInfo,
  ) {
    const { path, fields } = stream.head;
    const kept: string[] = [];
    let method = "";
    let authority = "";
    for (let index = 0; index < fields.length; index += 2) {
      const [name, value] = [fields[index] as string, fields[index + 1] as string];
      if (name === ":method") method = value;
      else if (name === ":authority") authority = value;
      else if (!name.startsWith(":") && !ofConnection.has(name)) kept.push(name, value);
    }
    this.method = method;
    this.target = path;
    this.authority = authority;
    this.fields = joinCookies(kept);
    this.connection = connection;
  }

  header(name: string): string | undefined {
    return fieldValue(this.fields, name);
  }
}

/** A whole HTTP exchange that the other side sends over its link: a call of kind `http`. */
export class HttpExchange extends StreamExchange {
  readonly head: LinkRequestHead;
  /** Bytes that are still to come by the request's own word; undefined if it has not said. */
  #left: number | undefined;

  constructor(stream: LinkStream, connection: ConnectionInfo) {
    super(stream);
    this.head = new LinkRequestHead(stream, connection);
    const length = this.head.header("content-length");
    if (length !== undefined) this.#left = /^\d{1,15}$/.test(length) ? Number(length) : Number.NaN;
  }

  /** Why no handler should see the request, by the rules for requests of HTTP/2. */
  refusal(limits: HeadLimits): Refusal | undefined {
    const { method, authority, target } = this.head;
    const pseudo = { ":method": method, ":authority": authority, ":path": target };
    const [host, expect] = [this.head.header("host"), this.head.header("expect")];
    const headers = { ...pseudo, ...(host === undefined ? {} : { host }), ...(expect === undefined ? {} : { expect }) };
    if (Number.isNaN(this.#left)) return badLength;
    return http2Refusal(headers, this.head.fields, limits);
  }

  protected received(bytes: Uint8Array): boolean {
    if (this.#left !== undefined) {
      this.#left -= bytes.length;
      if (this.#left < 0) {
        // Behind another connection the rest would look like a request of its own.
        this.fail(resetCode.protocol, "the body is longer than its content-length");
        return true;
      }
    }
    return this.body.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }

  protected override complete(): boolean {
    if (this.#left === undefined || this.#left === 0) return true;
    this.fail(resetCode.protocol, "the body is shorter than its content-length");
    return false;
  }

  protected begin(status: number, fields: FieldList): void {
    this.stream.sendHead([":status", String(status), ...fields]);
  }

  protected answer(chunk: Buffer): boolean {
    return this.head.method === "HEAD" || this.stream.send(chunk, false);
  }

  protected finish(trailers: FieldList): void {
    this.stream.end(trailers.length === 0 ? okEnd : { ...okEnd, trailers });
  }
}

const badLength: Refusal = Object.freeze({ status: 400, message: "the content-length is not a number" });
