import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientResponse } from "@connectrpc/connect/protocol";
import type { FieldList } from "../http/exchange.js";
import type { ClientCall } from "../http/http-client.js";
import { type Deferred, deferred } from "../internal/deferred.js";
import { codeOfReset } from "./call-error.js";
import { callKind, type ResetCode, resetCode } from "./frame.js";
import { okEnd } from "./head-codec.js";
import type { LinkSession } from "./link-session.js";
import type { LinkEnd, LinkStream, LinkStreamHandler } from "./link-stream.js";

/**
 * Sends a whole HTTP exchange over a link, for a plugin that has no other way to its host. Rejects with a ConnectError as
 * `HttpClient.send` does. `authority` is what the host is called by.
 */
export async function httpCallOverLink(
  session: LinkSession,
  call: ClientCall,
  authority = "host.invalid",
): Promise<UniversalClientResponse> {
  if (call.shape !== "whole" || call.body === undefined) return new HttpCallOverLink(call, authority).begin(session);
  const chunks: Uint8Array[] = [];
  for await (const chunk of call.body) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  // Providers behind the host may want to know the length, as they do of a request over a connection.
  const header = new Headers(call.header);
  header.set("content-length", String(body.length));
  return new HttpCallOverLink({ ...call, header, body: once(body) }, authority).begin(session);
}

async function* once(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body;
}

class HttpCallOverLink implements LinkStreamHandler {
  readonly pieces = true;
  readonly #call: ClientCall;
  readonly #authority: string;
  readonly #answer = deferred<UniversalClientResponse>();
  readonly #trailer = new Headers();
  #stream: LinkStream | undefined;
  #chunks: Uint8Array[] = [];
  #over: { readonly error: ConnectError | undefined } | undefined;
  #news: Deferred<void> = deferred();
  #drained: Deferred<void> | undefined;

  constructor(call: ClientCall, authority: string) {
    this.#call = call;
    this.#authority = authority;
  }

  begin(session: LinkSession): Promise<UniversalClientResponse> {
    const { method, header, path, body, signal } = this.#call;
    if (signal?.aborted === true) return Promise.reject(ConnectError.from(signal.reason, Code.Canceled));
    const fields = [":method", method, ":authority", this.#authority];
    for (const [name, value] of header) fields.push(name, value);
    try {
      this.#stream = session.open({ kind: callKind.http, path, deadlineMs: 0, fields }, this);
    } catch (error) {
      const { message } = error as Error;
      return Promise.reject(new ConnectError(message, Code.Unavailable, undefined, undefined, error));
    }
    signal?.addEventListener("abort", this.#abort, { once: true });
    if (body === undefined) this.#stream.end();
    else void this.#pour(body, this.#stream).catch((error: unknown) => this.#giveUp(error));
    return this.#answer.promise;
  }

  onHead(fields: FieldList, informational: boolean): void {
    if (informational) return;
    const [, status = ""] = fields;
    const header = new Headers();
    appendFields(header, fields.slice(2));
    this.#answer.resolve({ status: Number(status), header, body: this.#read(), trailer: this.#trailer });
  }

  onData(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#chunks.push(bytes);
    this.#tell();
  }

  onEnd({ trailers }: LinkEnd): void {
    appendFields(this.#trailer, trailers);
    this.#end(undefined);
  }

  onReset(code: ResetCode, message: string): void {
    this.#end(new ConnectError(message || "the call was given up", codeOfReset[code]));
  }

  onDrain(): void {
    this.#drained?.resolve();
  }

  readonly #abort = (): void => this.#giveUp(this.#call.signal?.reason);

  #giveUp(reason: unknown): void {
    this.#stream?.reset(resetCode.cancelled);
    this.#end(ConnectError.from(reason, Code.Canceled));
  }

  #end(error: ConnectError | undefined): void {
    if (this.#over !== undefined) return;
    this.#over = { error };
    this.#call.signal?.removeEventListener("abort", this.#abort);
    this.#answer.reject(error ?? new ConnectError("the answer has no head", Code.Internal));
    this.#drained?.resolve();
    this.#tell();
  }

  #tell(): void {
    const news = this.#news;
    this.#news = deferred();
    news.resolve();
  }

  async #pour(body: AsyncIterable<Uint8Array>, stream: LinkStream): Promise<void> {
    for await (const chunk of body) {
      if (stream.closed) return;
      this.#drained = deferred();
      if (chunk.length > 0 && !stream.send(chunk, false)) await this.#drained.promise;
    }
    stream.end(okEnd);
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const { promise } = this.#news;
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          yield chunk;
          // Only what somebody has read makes room for more.
          if (this.#chunks.length === 0) this.#stream?.consume();
        } else if (this.#over === undefined) await promise;
        else if (this.#over.error !== undefined) throw this.#over.error;
        else return;
      }
    } finally {
      if (this.#over === undefined) this.#giveUp(new ConnectError("the reader left the answer", Code.Canceled));
    }
  }
}

function appendFields(to: Headers, fields: FieldList): void {
  for (let index = 0; index < fields.length; index += 2)
    to.append(fields[index] as string, fields[index + 1] as string);
}
