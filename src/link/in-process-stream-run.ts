import { create, type DescMethodStreaming, type Message, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createHandlerContext,
  type HandlerContext,
  type StreamResponse,
} from "@connectrpc/connect";
import { getAbortSignalReason, transformInvokeImplementation } from "@connectrpc/connect/protocol";
import { codeToHttpStatus, codeToString } from "@connectrpc/connect/protocol-connect";
import type { FieldList } from "../http/exchange.js";
import { fromHeaders, toHeaders } from "../http/field-list.js";
import { type Deferred, deferred } from "../internal/deferred.js";
import { avoidField } from "../model/provider-choice.js";
import { lateError, withProvider } from "./asked-provider.js";
import { CallerSignal } from "./in-process-calls.js";
import { callerGoneError, errorForCaller, failureError, streamErrorMetadata, toldError } from "./in-process-error.js";
import { handOver } from "./in-process-hand-over.js";
import { MessagePipe } from "./in-process-pipe.js";
import type { AdmittedCall, InProcessFailure, InProcessRequest, OpenCalls } from "./in-process-route.js";
import type { StreamParts } from "./in-process-stream.js";

type Context = HandlerContext & { abort(reason?: unknown): void };

/** One call with a stream that goes straight to an implementation. */
export class StreamRun implements InProcessRequest {
  readonly method: DescMethodStreaming;
  readonly timeoutMs: number | undefined;
  readonly #parts: StreamParts;
  readonly #input = new MessagePipe<Message>();
  readonly #output = new MessagePipe<Message>();
  readonly #trailer = new Headers();
  readonly #response: Deferred<StreamResponse> = deferred();
  /** Aborted when the provider's work is not wanted any more. */
  readonly #gone = new AbortController();
  #bound: CallerSignal | undefined;
  #lastMessage: Message | undefined;
  #call: AdmittedCall | undefined;
  #context: Context | undefined;
  #answers: AsyncIterator<Message> | undefined;
  #hasAnswered = false;
  #isOver = false;

  constructor(parts: StreamParts) {
    this.method = parts.method;
    this.timeoutMs = parts.timeoutMs;
    this.#parts = parts;
  }

  /** Aborted when the caller gives up or has ended, when its time is over, and when all is done. */
  get signal(): AbortSignal {
    return this.#bound?.signal ?? this.#parts.signal;
  }

  headerFields(): FieldList {
    return fromHeaders(this.#parts.header);
  }

  avoided(): string | undefined {
    return this.#parts.header.get(avoidField) ?? undefined;
  }

  messageBytes(): number {
    // With the five bytes in front of each message.
    return this.#lastMessage === undefined ? 0 : toBinary(this.method.input, this.#lastMessage).length + 5;
  }

  ended(failure: InProcessFailure): void {
    const error = failureError(failure);
    this.#stop(callerGoneError());
    this.#respond();
    this.#output.fail(error);
  }

  belongsTo(calls: OpenCalls): void {
    this.#bound = new CallerSignal(this.#parts.signal, calls);
  }

  /** Runs the implementation. */
  start(call: AdmittedCall): Promise<StreamResponse> {
    const { url, timeoutMs } = this.#parts;
    const { signal } = this;
    const { method, implementation, owner } = call.target;
    this.#call = call;
    const context = createHandlerContext({
      service: method.parent,
      method,
      requestMethod: "POST",
      protocolName: "connect",
      url,
      requestSignal: this.#gone.signal,
      requestHeader: toHeaders(call.requestFields()),
      responseHeader: { "content-type": "application/connect+proto" },
    }) as Context;
    if (timeoutMs !== undefined) {
      // With the caller's timer as the only one, so that nobody ends in time what is late for the caller.
      const deadlineAt = Date.now() + timeoutMs;
      Object.assign(context, { timeoutMs: () => deadlineAt - Date.now() });
    }
    this.#context = context;
    signal.addEventListener("abort", this.#onCallerSignal, { once: true });
    if (signal.aborted) this.#onCallerSignal();
    const spec = { kind: method.methodKind, method, impl: implementation };
    const guarded = (): AsyncIterable<Message> => {
      const refusal = owner.refusal();
      if (refusal !== undefined) throw new ConnectError(refusal, Code.Unavailable);
      return transformInvokeImplementation(
        spec as never,
        context as never,
        [],
      )(this.#input as never) as AsyncIterable<Message>;
    };
    void this.#pumpInput(call);
    void this.#pumpOutput(call, guarded);
    return this.#response.promise;
  }

  async #pumpInput(call: AdmittedCall): Promise<void> {
    const { input: type } = call.target.method;
    const { copier, input } = this.#parts;
    try {
      for await (const message of input) {
        if (this.#input.isClosed) return;
        this.#lastMessage = message;
        const copy = handOver(copier, create(this.method.input, message), this.method.input, type);
        if (!call.passed("request")) return;
        const room = this.#input.put(copy);
        if (room !== undefined) await room;
        if (this.#input.isClosed) return;
      }
    } catch (error) {
      if (this.#isOver) return;
      call.callerGone();
      this.#cut(ConnectError.from(error), callerGoneError());
      return;
    }
    this.#input.end();
    if (!this.#isOver) call.requestEnded();
  }

  async #pumpOutput(call: AdmittedCall, begin: () => AsyncIterable<Message>): Promise<void> {
    const { copier } = this.#parts;
    const { output: type } = call.target.method;
    try {
      // Never on the caller's stack.
      await undefined;
      if (this.#isOver) return;
      const answers = begin()[Symbol.asyncIterator]();
      this.#answers = answers;
      for (let next = await answers.next(); next.done !== true; next = await answers.next()) {
        if (this.#isOver) return;
        call.answered();
        this.#respond();
        let copy: Message;
        try {
          copy = handOver(copier, create(type, next.value), type, this.method.output);
        } catch (error) {
          this.#fail(call, error);
          // As a loop does that ends early. What the provider says to that is for nobody.
          return void answers.return?.().catch(() => {});
        }
        call.passed("answer");
        const room = this.#output.put(copy);
        if (room !== undefined) await room;
        if (this.#isOver) return;
      }
    } catch (error) {
      this.#fail(call, error);
      return;
    }
    if (this.#isOver) return;
    this.#respond();
    this.#finish();
    this.#context?.responseTrailer.forEach((value, name) => {
      this.#trailer.set(name, value);
    });
    this.#context?.abort();
    call.completed("ok", 200);
    this.#output.end();
  }

  /** Head and first message are there, or the end. */
  #respond(): void {
    if (this.#hasAnswered) return;
    this.#hasAnswered = true;
    const { method } = this;
    this.#response.resolve({
      stream: true,
      service: method.parent,
      method,
      // A copy: the provider still has its own.
      header: withProvider(new Headers(this.#context?.responseHeader), this.#call?.provider),
      trailer: this.#trailer,
      message: this.#output,
    });
  }

  #fail(call: AdmittedCall, error: unknown): void {
    if (this.#isOver) return;
    const told = toldError(error);
    this.#respond();
    this.#finish();
    const { responseHeader, responseTrailer } = this.#context as Context;
    const metadata = streamErrorMetadata(told, responseHeader, responseTrailer, call.provider);
    this.#context?.abort(error);
    call.completed(codeToString(told.code), codeToHttpStatus(told.code));
    this.#output.fail(errorForCaller(told, metadata));
  }

  readonly #onCallerSignal = (): void => {
    if (this.#isOver) return;
    const error = ConnectError.from(getAbortSignalReason(this.signal), Code.Canceled);
    const isLate = error.code === Code.DeadlineExceeded;
    if (isLate) this.#call?.expired();
    else this.#call?.callerGone();
    this.#cut(isLate ? lateError(error, this.#call?.provider) : error, isLate ? error : callerGoneError());
  };

  /** Ends both sides at once. */
  #cut(error: ConnectError, reason: ConnectError): void {
    this.#stop(reason);
    this.#response.reject(error);
    this.#response.promise.catch(() => {});
    this.#output.cut(error);
  }

  /** Lets the provider clean up. What it says to that is for nobody. */
  #stop(reason: ConnectError): void {
    this.#finish();
    this.#gone.abort(reason);
    this.#context?.abort(reason);
    this.#input.cut(reason);
    const answers = this.#answers;
    (answers?.throw?.(reason) ?? answers?.return?.())?.catch(() => {});
  }

  #finish(): void {
    this.#isOver = true;
    this.signal.removeEventListener("abort", this.#onCallerSignal);
    this.#bound?.done();
    // The provider reads no more of the request.
    if (!this.#gone.signal.aborted) void this.#input.return();
  }
}
