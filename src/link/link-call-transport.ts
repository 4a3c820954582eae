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
import { runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import { PluginHostError } from "../errors.js";
import { callLimit } from "../http/call-limit.js";
import type { FieldList } from "../http/exchange.js";
import { timeoutOf } from "../http/timeout-header.js";
import { errorOfReset } from "./call-error.js";
import { callKinds } from "./call-kinds.js";
import {
  attemptLimit,
  type HeadersGiven,
  leftOf,
  streamRequest,
  unaryAnswer,
  unaryRequest,
  urlOf,
} from "./client-call.js";
import { callFields } from "./client-fields.js";
import { ClientStream } from "./client-stream.js";
import { abortError, ClientUnary } from "./client-unary.js";
import { resetCode } from "./frame.js";
import type { LinkSession } from "./link-session.js";
import type { LinkStream, LinkStreamHandler } from "./link-stream.js";
import { writeMessage } from "./message-codec.js";

/** The way of one client's calls over a link. */
export interface LinkRoute {
  readonly session: LinkSession;
  /** Goes in front of `/Method`, such as `/services/cache/any`. */
  readonly basePath: string;
}

/** How a client's calls travel. */
export interface LinkCallTransportOptions {
  /** Asked for each call; undefined while it has to go over a connection. */
  readonly route: () => LinkRoute | undefined;
  /** Carries calls while there is no link, and those that the link's other side has not looked at; without interceptors. */
  readonly connection: Transport;
  readonly interceptors: readonly Interceptor[];
  /** Told of what the other side answers, if that is an error. */
  readonly onError?: (error: ConnectError) => void;
}

const ignore = (): void => {};

/**
 * A Connect transport whose calls go over a link while there is one, and over a connection otherwise. What callers see is the
 * same both ways.
 */
export class LinkCallTransport implements Transport {
  readonly #options: LinkCallTransportOptions;
  /** Paths as they were last made, by method, for the base path that they begin with. */
  readonly #paths = new Map<object, { readonly basePath: string; readonly path: string }>();

  constructor(options: LinkCallTransportOptions) {
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
    let limitMs: number | undefined;
    try {
      limitMs = callLimit(timeoutMs);
    } catch (error) {
      return Promise.reject(error);
    }
    const { interceptors } = this.#options;
    const call = { method, limitMs, contextValues } as UnaryParts;
    if (interceptors.length === 0) {
      return this.#unary(call, signal, header, input as never) as Promise<UnaryResponse<I, O>>;
    }
    return runUnaryCall<I, O>({
      interceptors: [...interceptors],
      signal: signal as AbortSignal,
      timeoutMs: limitMs as number,
      req: unaryRequest(method, urlOf(method), limitMs, header, input, contextValues),
      next: async (request) => {
        // An interceptor may have given this attempt less time.
        const attempt = { ...call, limitMs: timeoutOf(request.header) ?? limitMs };
        return unaryAnswer(
          method,
          await this.#unary(attempt, request.signal, request.header, request.message as never),
        );
      },
    });
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
    const startedAt = performance.now();
    return runStreamingCall<I, O>({
      interceptors: [...interceptors],
      signal: signal as AbortSignal,
      timeoutMs: limitMs as number,
      req: streamRequest(method, limitMs, header, input, contextValues),
      next: async (request) => {
        const leftMs = attemptLimit(request.header, limitMs && leftOf(limitMs, startedAt));
        const { message, signal: ended } = request;
        const messages = message as AsyncIterable<Message>;
        const openedAt = performance.now();
        const viaConnection = (given: AsyncIterable<Message>, limit: number | undefined): Promise<StreamResponse> =>
          connection.stream(method, ended, limit, request.header, given as never, contextValues);
        const detour = (given: AsyncIterable<Message>): Promise<StreamResponse> =>
          viaConnection(given, leftMs && leftOf(leftMs, openedAt));
        const onLink = this.#stream(method, ended, leftMs, request.header, messages, detour);
        return (await (onLink ?? viaConnection(messages, leftMs))) as StreamResponse<I, O>;
      },
    });
  }

  #unary(
    call: UnaryParts,
    signal: AbortSignal | undefined,
    header: HeadersGiven,
    input: Message,
  ): Promise<UnaryResponse> {
    const route = this.#options.route();
    if (route === undefined) return this.#viaConnection(call, signal, call.limitMs, header, input);
    if (signal?.aborted === true) return Promise.reject(abortError(signal));
    const { method, limitMs } = call;
    const startedAt = limitMs === undefined ? 0 : performance.now();
    return new Promise((resolve, reject) => {
      const detour = (): void => {
        this.#viaConnection(call, signal, limitMs && leftOf(limitMs, startedAt), header, input).then(resolve, reject);
      };
      const { onError } = this.#options;
      const caller = new ClientUnary(method, signal, {
        resolve,
        reject:
          onError === undefined
            ? reject
            : (error) => {
                onError(error);
                reject(error);
              },
        refused: detour,
      });
      try {
        const bytes = writeMessage(method.input, create(method.input, input), false);
        const stream = this.#open(route, method, limitMs, callFields(header), caller, bytes);
        if (stream === undefined) detour();
        else caller.opened(stream);
      } catch (error) {
        reject(error);
      }
    });
  }

  #viaConnection(
    { method, contextValues }: UnaryParts,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersGiven,
    input: Message,
  ): Promise<UnaryResponse> {
    return this.#options.connection.unary(method, signal, timeoutMs, header, input, contextValues);
  }

  /** Undefined if there is no link. */
  #stream(
    method: DescMethodStreaming,
    signal: AbortSignal,
    limitMs: number | undefined,
    header: Headers,
    input: AsyncIterable<Message>,
    refused: (input: AsyncIterable<Message>) => Promise<StreamResponse>,
  ): Promise<StreamResponse> | undefined {
    const route = this.#options.route();
    if (route === undefined) return undefined;
    if (signal.aborted) return Promise.reject(abortError(signal));
    const { onError = ignore } = this.#options;
    const call = new ClientStream(method, signal, input, { onError, refused });
    const stream = this.#open(route, method, limitMs, callFields(header), call);
    if (stream === undefined) return undefined;
    call.opened(stream);
    return call.response;
  }

  /** Undefined if the link takes no calls any more. */
  #open(
    { session, basePath }: LinkRoute,
    method: DescMethodUnary | DescMethodStreaming,
    limitMs: number | undefined,
    fields: FieldList,
    handler: LinkStreamHandler,
    message?: Uint8Array,
  ): LinkStream | undefined {
    const head = {
      kind: callKinds[method.methodKind],
      path: this.#pathOf(basePath, method),
      deadlineMs: limitMs === undefined ? 0 : Math.ceil(Math.min(limitMs, longestMs)),
      fields,
    };
    try {
      return session.open(head, handler, message, message !== undefined);
    } catch (error) {
      if (!(error instanceof PluginHostError)) throw error;
      if (error.code === "PLUGIN_UNREACHABLE") return undefined;
      if (error.code === "LIMIT_REACHED") throw new ConnectError(error.message, Code.ResourceExhausted);
      throw new ConnectError(error.message, Code.InvalidArgument);
    }
  }

  #pathOf(basePath: string, method: DescMethodUnary | DescMethodStreaming): string {
    const known = this.#paths.get(method);
    if (known?.basePath === basePath) return known.path;
    const path = `${basePath}/${method.name}`;
    this.#paths.set(method, { basePath, path });
    return path;
  }
}

/** What stays of a unary call while it is tried. */
interface UnaryParts {
  readonly method: DescMethodUnary;
  readonly limitMs: number | undefined;
  readonly contextValues: ContextValues | undefined;
}

// As far as a link counts.
const longestMs = 2 ** 47;

/** A transport for a side that has nothing but links, such as a host that calls a plugin without a port. */
export const noConnection: Transport = {
  unary: () => Promise.reject(errorOfReset(resetCode.unavailable, "there is no link")),
  stream: () => Promise.reject(errorOfReset(resetCode.unavailable, "there is no link")),
};
