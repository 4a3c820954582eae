import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, createContextValues } from "@connectrpc/connect";
import type { ExchangeEnd, FieldList, ServerExchange } from "./exchange.js";
import { toHeaders } from "./field-list.js";

/** What a {@link DirectCall} is made with. */
export interface DirectCallInit<M extends DescMethod> {
  readonly method: M;
  /** The fields that the answer has unless the implementation sets others. */
  readonly usualFields: FieldList;
  readonly timeoutMs: number | undefined;
  readonly contextValues: ContextValues | undefined;
}

/**
 * The state of one call that goes past Connect's own handlers. Headers and the signal are made when somebody asks for them: most implementations do not, and
 * they cost more than the rest of the call.
 */
export class DirectCall<M extends DescMethod = DescMethod> {
  readonly method: M;
  readonly usualFields: FieldList;
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

  constructor(exchange: ServerExchange, { method, usualFields, timeoutMs, contextValues }: DirectCallInit<M>) {
    this.#exchange = exchange;
    this.method = method;
    this.usualFields = usualFields;
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
    this.#responseHeader ??= toHeaders(this.usualFields);
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
