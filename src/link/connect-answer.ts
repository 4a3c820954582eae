import { Code, ConnectError } from "@connectrpc/connect";
import { codeFromHttpStatus, endStreamFromJson, errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { envelopeFlags } from "../http/envelope.js";
import type { FieldList } from "../http/exchange.js";
import { fieldValue, fromHeaders, noFields } from "../http/field-list.js";
import { endOfError } from "./call-error.js";
import { resetCode } from "./frame.js";
import { okEnd } from "./head-codec.js";
import type { LinkStream } from "./link-stream.js";

const prefixBytes = 5;
/** Longest error, or end of a stream, that is read. */
const maxErrorBytes = 1_048_576;

// Fields that say how an answer over HTTP is written.
const ofAnswer: ReadonlySet<string> = new Set([
  "connect-accept-encoding",
  "connect-content-encoding",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "keep-alive",
  "trailer",
  "transfer-encoding",
]);

const noBytes = Buffer.alloc(0);

/**
 * Reads an answer of the Connect protocol and writes it to a stream as head, messages and end, as it comes: nothing is
 * kept but errors and one chunk.
 */
export class ConnectAnswer {
  readonly #stream: LinkStream;
  readonly #isUnary: boolean;
  #status = 0;
  #trailers: string[] = [];
  /** What is kept of an error or of the end of a stream. */
  #kept: Buffer[] = [];
  #keptBytes = 0;
  /** The last chunk of a unary answer, which waits to be known as such. */
  #last: Buffer | undefined;
  #prefix = noBytes;
  /** Bytes of the present envelope that are still to come; undefined between two. */
  #left: number | undefined;
  #flags = 0;

  constructor(stream: LinkStream, isUnary: boolean) {
    this.#stream = stream;
    this.#isUnary = isUnary;
  }

  begin(status: number, fields: FieldList): void {
    const head: string[] = [];
    for (let index = 0; index < fields.length; index += 2) {
      const [name, value] = [fields[index] as string, fields[index + 1] as string];
      if (this.#isUnary && name.startsWith("trailer-")) this.#trailers.push(name.slice("trailer-".length), value);
      else if (!ofAnswer.has(name)) head.push(name, value);
    }
    this.#status = status;
    const encoding = fieldValue(fields, this.#isUnary ? "content-encoding" : "connect-content-encoding") ?? "identity";
    const type = fieldValue(fields, "content-type") ?? "";
    if (status === 200) {
      if (encoding !== "identity")
        return this.#fail(`the answer is compressed with ${encoding}, which nobody asked for`);
      const wanted = this.#isUnary ? "application/proto" : "application/connect+proto";
      if (type.toLowerCase() !== wanted)
        return this.#fail(`the answer has the content type ${type || "none"}, not ${wanted}`);
    }
    if (head.length > 0) this.#stream.sendHead(head);
  }

  /** False if more should wait for the stream to drain. */
  data(chunk: Buffer): boolean {
    if (this.#stream.closed) return true;
    if (this.#status !== 200) return this.#keep(chunk);
    if (!this.#isUnary) return this.#envelopes(chunk);
    const before = this.#last;
    this.#last = chunk;
    return before === undefined || this.#stream.send(before, false);
  }

  finish(trailers: FieldList): void {
    if (this.#stream.closed) return;
    if (this.#status !== 200) return this.#finishError(trailers);
    if (this.#isUnary) {
      const all = [...this.#trailers, ...trailers];
      const end = all.length === 0 ? okEnd : { ...okEnd, trailers: all };
      return this.#stream.end(end, this.#last ?? noBytes);
    }
    if (this.#flags !== envelopeFlags.endOfStream || this.#left !== undefined || this.#prefix.length > 0) {
      return this.#stream.reset(resetCode.unavailable, "the answer broke off");
    }
    this.#finishStream();
  }

  #envelopes(chunk: Buffer): boolean {
    let room = true;
    for (let rest = chunk; rest.length > 0; ) {
      if (this.#left === undefined) {
        const wanted = prefixBytes - this.#prefix.length;
        this.#prefix = Buffer.concat([this.#prefix, rest.subarray(0, wanted)]);
        rest = rest.subarray(wanted);
        if (this.#prefix.length < prefixBytes) return room;
        if (this.#flags === envelopeFlags.endOfStream) return this.#broken("goes on after its end");
        this.#flags = this.#prefix[0] as number;
        this.#left = this.#prefix.readUInt32BE(1);
        this.#prefix = noBytes;
        if (this.#flags !== 0 && this.#flags !== envelopeFlags.endOfStream) {
          return this.#broken(`has an envelope with the flags ${this.#flags}`);
        }
        if (this.#left > 0) continue;
      }
      const part = rest.subarray(0, this.#left);
      rest = rest.subarray(part.length);
      this.#left -= part.length;
      const isLast = this.#left === 0;
      if (isLast) this.#left = undefined;
      if (this.#flags === 0) room = this.#stream.send(part, isLast) && room;
      else if (!this.#keep(part)) return true;
    }
    return room;
  }

  #finishStream(): void {
    let end: ReturnType<typeof endStreamFromJson>;
    try {
      end = endStreamFromJson(Buffer.concat(this.#kept));
    } catch {
      return this.#stream.reset(resetCode.protocol, "the end of the answer cannot be read");
    }
    const trailers = fromHeaders(end.metadata);
    if (end.error !== undefined) return this.#stream.end(endOfError(end.error, trailers));
    this.#stream.end(trailers.length === 0 ? okEnd : { ...okEnd, trailers });
  }

  #finishError(trailers: FieldList): void {
    const told = new ConnectError(`HTTP ${this.#status}`, codeFromHttpStatus(this.#status));
    let error = told;
    try {
      error = errorFromJsonBytes(Buffer.concat(this.#kept), new Headers(), told);
    } catch {
      // Something answered that does not speak the protocol; its status is what is known of it.
    }
    const all = [...this.#trailers, ...trailers];
    this.#stream.end(endOfError(error, all.length === 0 ? noFields : all));
  }

  #keep(chunk: Buffer): boolean {
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > maxErrorBytes) {
      this.#broken(`has an error of more than ${maxErrorBytes} bytes`);
      return false;
    }
    this.#kept.push(chunk);
    return true;
  }

  #broken(how: string): true {
    this.#fail(`the answer ${how}`);
    return true;
  }

  #fail(message: string): void {
    this.#stream.end({ ...okEnd, code: Code.Internal, message });
  }
}
