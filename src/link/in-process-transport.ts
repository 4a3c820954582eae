import {
  create,
  type DescMethodStreaming,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  type Interceptor,
  type StreamResponse,
  type Transport,
  type UnaryResponse,
} from "@connectrpc/connect";
import { getAbortSignalReason, runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import { callLimit } from "../http/call-limit.js";
import { timeoutOf } from "../http/timeout-header.js";
import {
  attemptLimit,
  type HeadersGiven,
  leftOf,
  limitedSignal,
  streamRequest,
  unaryAnswer,
  unaryRequest,
  urlOf,
} from "./client-call.js";
import { MessageCopier } from "./in-process-copy.js";
import { handOver } from "./in-process-hand-over.js";
import type { DecidedCall, InProcessRoute } from "./in-process-route.js";
import { openStream } from "./in-process-stream.js";
import { UnaryRun, type UnaryShape } from "./in-process-unary.js";

/** How a client's calls travel. */
export interface InProcessTransportOptions {
  /**
   * The way to the service now; undefined while calls have to go over a connection, for example because the caller has
   * no identity yet.
   */
  readonly route: () => InProcessRoute | undefined;
  /** Carries calls over a connection, without interceptors. */
  readonly connection: Transport;
  readonly interceptors: readonly Interceptor[];
}

// Calls that follow one another as fast as they can must leave timers and sockets their turn.
const callsInATurn = 128;

const soon = Promise.resolve();

/**
 * A Connect transport whose calls go straight to the implementation if the host chooses a provider in the same process, straight to
 * the provider's link if it has one, and over a connection otherwise. Towards an implementation messages are copied in
 * both directions; nothing is written as bytes.
 */
export class InProcessTransport implements Transport {
  readonly #options: InProcessTransportOptions;
  readonly #copier = new MessageCopier();
  readonly #shapes = new Map<DescMethodUnary, UnaryShape>();
  #calls = 0;

  constructor(options: InProcessTransportOptions) {
    this.#options = options;
  }

  unary<I extends DescMethodUnary["input"], O extends DescMethodUnary["output"]>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersGiven,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    try {
      const limitMs = callLimit(timeoutMs);
      if (this.#options.interceptors.length > 0) {
        return this.#intercepted(method, signal, limitMs, header, input, contextValues);
      }
      const given = header === undefined ? undefined : new Headers(header);
      return this.#unary(method, signal, limitMs, given, input as never) as Promise<UnaryResponse<I, O>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  stream<I extends DescMethodStreaming["input"], O extends DescMethodStreaming["output"]>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersGiven,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    let limitMs: number | undefined;
    try {
      limitMs = callLimit(timeoutMs);
    } catch (error) {
      return Promise.reject(error);
    }
    const { interceptors, connection } = this.#options;
    const startedAt = limitMs === undefined ? 0 : performance.now();
    return runStreamingCall<I, O>({
      interceptors: [...interceptors],
      signal: signal as AbortSignal,
      timeoutMs: limitMs as number,
      req: streamRequest(method, limitMs, header, input, contextValues),
      next: (request) => {
        const { header, message, url } = request;
        const leftMs = limitMs && leftOf(limitMs, startedAt);
        const attemptMs = interceptors.length === 0 ? leftMs : attemptLimit(header, leftMs);
        // The request's own signal ends only with the time of the whole call.
        const hasLess = attemptMs !== undefined && attemptMs !== leftMs;
        const signal = hasLess ? limitedSignal(request.signal, attemptMs) : request.signal;
        const openedAt = attemptMs === undefined ? 0 : performance.now();
        const input = message as AsyncIterable<Message>;
        return openStream(
          {
            method,
            url,
            route: this.#options.route(),
            copier: this.#copier,
            timeoutMs: attemptMs,
            header,
            signal,
            input,
          },
          (given) => connection.stream(method, signal, attemptMs && leftOf(attemptMs, openedAt), given, input as never),
        ) as Promise<StreamResponse<I, O>>;
      },
    });
  }

  #intercepted<I extends DescMethodUnary["input"], O extends DescMethodUnary["output"]>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersGiven,
    message: MessageInitShape<I>,
    contextValues: ContextValues | undefined,
  ): Promise<UnaryResponse<I, O>> {
    return runUnaryCall<I, O>({
      interceptors: [...this.#options.interceptors],
      signal: signal as AbortSignal,
      timeoutMs: timeoutMs as number,
      req: unaryRequest(method, this.#shapeOf(method).url, timeoutMs, header, message, contextValues),
      next: async (request) => {
        const given = new Headers(request.header);
        // An interceptor may have given this attempt less time.
        const limitMs = timeoutOf(given) ?? timeoutMs;
        return unaryAnswer(method, await this.#unary(method, request.signal, limitMs, given, request.message));
      },
    });
  }

  #unary(
    method: DescMethodUnary,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    given: Headers | undefined,
    input: MessageInitShape<DescMethodUnary["input"]>,
  ): Promise<UnaryResponse> {
    if (signal?.aborted === true) throw ConnectError.from(getAbortSignalReason(signal), Code.Canceled);
    const type = method.input;
    const message = handOver(this.#copier, create(type, input), type, type);
    const route = this.#options.route();
    if (route === undefined) {
      return this.#options.connection.unary(method, signal, timeoutMs, given, message as never);
    }
    const run = new UnaryRun(this.#shapeOf(method), message, timeoutMs, signal, given);
    const opened = route.open(run);
    if (opened.kind === "admitted") {
      void run.run(opened, this.#turn());
      return run.answer;
    }
    if (opened.kind !== "waiting") return this.#proceed(run, opened);
    run.wait(opened);
    return Promise.race([run.answer, opened.decided]).then((decided) =>
      "kind" in decided ? this.#proceed(run, decided) : decided,
    );
  }

  #proceed(run: UnaryRun, decided: DecidedCall): Promise<UnaryResponse> {
    switch (decided.kind) {
      case "admitted":
        if (run.isOver) decided.callerGone();
        else void run.run(decided, this.#turn());
        return run.answer;
      case "refused":
        run.ended(decided.failure);
        return run.answer;
      case "linked":
        if (!run.isOver) return run.overLink(decided);
        decided.release();
        return run.answer;
      case "detour":
        if (!run.isOver) return run.overConnection(this.#options.connection, decided).finally(decided.release);
        decided.release();
        return run.answer;
    }
  }

  #turn(): Promise<void> {
    this.#calls += 1;
    return this.#calls % callsInATurn === 0 ? new Promise((resolve) => setImmediate(resolve)) : soon;
  }

  #shapeOf(method: DescMethodUnary): UnaryShape {
    let shape = this.#shapes.get(method);
    if (shape === undefined) {
      shape = { method, url: urlOf(method), copier: this.#copier };
      this.#shapes.set(method, shape);
    }
    return shape;
  }
}
