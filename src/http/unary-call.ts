import type { DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, createContextValues } from "@connectrpc/connect";
import { contentTypeUnaryJson, contentTypeUnaryProto } from "@connectrpc/connect/protocol-connect";
import type { ExchangeEnd, ServerExchange } from "./exchange.js";
import { toHeaders } from "./field-list.js";
import type { UnaryHead } from "./unary-head.js";

/**
 * The state of one unary call. Headers and the signal are made when somebody asks for them: most implementations do not, and
 * they cost more than the rest of the call.
 */
export class UnaryCall {
  readonly method: DescMethodUnary;
  /** The content type that the answer has unless the implementation sets another. */
  readonly contentType: string;
  readonly url: string;
  readonly values: ContextValues;
  /** By `Date.now()`; undefined without a timeout. */
  readonly deadlineAt: number | undefined;
  /** Whether somebody wrote to a property that is computed otherwise, as TypeScript would not let them. */
  overwritten = false;
  readonly #exchange: ServerExchange;
  #aborted: { readonly reason: unknown } | undefined;
  #abort: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  constructor(
    exchange: ServerExchange,
    method: DescMethodUnary,
    { binary, timeoutMs }: UnaryHead,
    contextValues: ContextValues | undefined,
  ) {
    this.#exchange = exchange;
    this.method = method;
    this.contentType = binary ? contentTypeUnaryProto : contentTypeUnaryJson;
    // Who reads it parses it; what the caller calls us must not make that fail.
    this.url = `http://host.invalid${exchange.head.target}`;
    this.values = contextValues ?? createContextValues();
    this.deadlineAt = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
  }

  /** Aborted at the deadline, by `abort`, and with that at the end of the call in every case. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      this.#expireIfLate();
      if (this.#aborted !== undefined) this.#abort.abort(this.#aborted.reason);
      else if (this.deadlineAt !== undefined) {
        this.#timer = setTimeout(() => this.#expire(), this.deadlineAt - Date.now());
      }
    }
    return this.#abort.signal;
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= toHeaders(this.#exchange.head.fields);
    return this.#requestHeader;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers({ "content-type": this.contentType });
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  /** Whether nobody has touched what goes out in front of the body. */
  get hasUsualHeaders(): boolean {
    return this.#responseHeader === undefined && this.#responseTrailer === undefined;
  }

  /** The caller may be gone. */
  exchangeEnded({ kind }: ExchangeEnd): void {
    if (kind !== "completed") this.abort(new ConnectError("the caller went away", Code.Canceled));
  }

  /** Ends the call for whoever listens to its signal. The first reason counts, and the deadline is one. */
  abort(reason?: unknown): void {
    clearTimeout(this.#timer);
    this.#expireIfLate();
    if (this.#aborted !== undefined) return;
    this.#aborted = { reason };
    this.#abort?.abort(reason);
  }

  /** Without anybody who listens no timer runs, so that the deadline can have passed unseen. */
  #expireIfLate(): void {
    if (this.deadlineAt !== undefined && this.deadlineAt <= Date.now()) this.#expire();
  }

  #expire(): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = { reason: new ConnectError("the operation timed out", Code.DeadlineExceeded) };
    this.#abort?.abort(this.#aborted.reason);
  }
}
