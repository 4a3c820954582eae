import { create, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { fromHeaders } from "../http/field-list.js";
import type { InProcessMethod } from "../model/in-process-services.js";
import { type ResetCode, resetCode } from "./frame.js";
import { type ContextSource, lazyContext } from "./in-process-context.js";
import { callerGoneError, deadlineError, toldError } from "./in-process-error.js";
import type { LinkStream, LinkStreamHandler } from "./link-stream.js";
import { readMessage, tooLargeToRead, writeMessage } from "./message-codec.js";
import { plainCopy } from "./message-inbox.js";
import { endWith, failureEnd, refusalError, requestHeaders, speaksJson } from "./served-call.js";

/** One unary call of the other side. Nothing is made for the implementation that it does not look at. */
export class ServedUnary implements LinkStreamHandler, ContextSource {
  readonly #stream: LinkStream;
  readonly #target: InProcessMethod;
  readonly #json: boolean;
  readonly deadlineAt: number | undefined;
  #message: Uint8Array | undefined;
  #problem: ConnectError | undefined;
  #begun = false;
  #over = false;
  #abort: AbortController | undefined;
  #aborted: { readonly reason: unknown } | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  /** Undefined without a limit of the plugin's own. */
  readonly maxMessageBytes: number | undefined;

  constructor(stream: LinkStream, target: InProcessMethod) {
    const { deadlineMs, fields } = stream.head;
    this.#stream = stream;
    this.#target = target;
    this.maxMessageBytes = target.messages?.readMaxBytes;
    this.#json = speaksJson(fields);
    this.deadlineAt = deadlineMs === 0 ? undefined : Date.now() + deadlineMs;
    target.owner.enter(this);
  }

  onData(bytes: Uint8Array): void {
    if (this.#message === undefined) this.#message = plainCopy(bytes);
    else this.#problem ??= new ConnectError("the request has more than one message", Code.Unimplemented);
    this.#stream.consume();
    // The usual call is one frame: no need to wait to be told that nothing follows.
    if (this.#stream.peerEnd !== undefined) this.#run();
  }

  onTooLarge(): void {
    this.#problem ??= tooLargeToRead(this.maxMessageBytes as number);
    this.#run();
  }

  onEnd(): void {
    this.#run();
  }

  onReset(code: ResetCode): void {
    this.#finish(code === resetCode.deadline ? deadlineError() : callerGoneError());
  }

  /** The plugin stops, and this call has taken too long. */
  abort(reason: Error): void {
    this.#stream.reset(resetCode.unavailable, reason.message);
    this.#finish(reason);
  }

  // The context, for implementations that look at it.

  get method(): InProcessMethod["method"] {
    return this.#target.method;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#aborted !== undefined) this.#abort.abort(this.#aborted.reason);
    }
    return this.#abort.signal;
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= requestHeaders(this.#stream.head, this.#contentType);
    return this.#requestHeader;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers({ "content-type": this.#contentType });
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  get #contentType(): string {
    return this.#json ? "application/json" : "application/proto";
  }

  #run(): void {
    if (this.#begun || this.#over) return;
    this.#begun = true;
    const { method, owner, implementation, messages } = this.#target;
    try {
      const refusal = owner.refusal();
      if (refusal !== undefined) throw refusalError(refusal);
      if (this.#problem !== undefined) throw this.#problem;
      if (this.#message === undefined) throw new ConnectError("the request has no message", Code.Unimplemented);
      const request = readMessage(method.input, this.#message, this.#json, messages);
      const result = implementation(request, lazyContext(this, `http://host.invalid${this.#stream.head.path}`));
      if (isPromise(result)) result.then(this.#answer, this.#fail);
      else this.#answer(result);
    } catch (error) {
      this.#fail(error);
    }
  }

  readonly #answer = (result: unknown): void => {
    if (this.#over) return;
    const { method, messages } = this.#target;
    const { output } = method;
    let bytes: Uint8Array;
    try {
      bytes = writeMessage(output, create(output, result as Message), this.#json, messages);
    } catch (error) {
      return this.#fail(error);
    }
    const stream = this.#stream;
    if (this.#json || this.#responseHeader !== undefined) stream.sendHead(fromHeaders(this.responseHeader));
    stream.end(this.#responseTrailer === undefined ? undefined : endWith(this.#responseTrailer), bytes);
    this.#finish(undefined);
  };

  readonly #fail = (error: unknown): void => {
    if (this.#over) return;
    const told = toldError(error);
    let fields: string[] = [];
    if (this.#responseHeader !== undefined || !isEmpty(told.metadata)) {
      const header = this.#responseHeader ?? new Headers();
      header.delete("content-type");
      told.metadata.forEach((value, name) => {
        header.set(name, value);
      });
      fields = fromHeaders(header);
    }
    if (fields.length > 0) this.#stream.sendHead(fields);
    this.#stream.end(failureEnd(told, this.#responseTrailer));
    this.#finish(error);
  };

  /** Ends the call for whoever listens to its signal, as Connect does in every case. */
  #finish(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#aborted = { reason };
    this.#abort?.abort(reason);
    this.#target.owner.leave(this);
  }
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";

const isEmpty = (headers: Headers): boolean => headers.keys().next().done === true;
