import type {
  DescMessage,
  DescMethod,
  DescMethodStreaming,
  DescMethodUnary,
  MessageInitShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type StreamRequest,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { createMethodUrl, getAbortSignalReason } from "@connectrpc/connect/protocol";
import { requestHeader } from "@connectrpc/connect/protocol-connect";
import { timeoutOf } from "../http/timeout-header.js";
import { longestDelayMs } from "../internal/clock.js";

/** Header fields as callers of a transport give them. */
export type HeadersGiven = ConstructorParameters<typeof Headers>[0];

/** The URL of a method as interceptors see it. It is never dialled. */
export const urlOf = (method: DescMethod): string => createMethodUrl("http://host.invalid", method);

/** What is left of a limit, which began to count at `startedAt` of `performance.now()`; at least 1 ms. */
export const leftOf = (limitMs: number, startedAt: number): number =>
  Math.max(1, Math.ceil(limitMs - (performance.now() - startedAt)));

/** The time for one attempt: an interceptor may have given it less than is left, in the fields of its request. */
export function attemptLimit(header: Headers, leftMs: number | undefined): number | undefined {
  const toldMs = timeoutOf(header);
  return toldMs === undefined || (leftMs !== undefined && leftMs <= toldMs) ? leftMs : Math.max(1, toldMs);
}

/** A unary request for `runUnaryCall`, with the fields that it would have over HTTP. */
export function unaryRequest<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  url: string,
  limitMs: number | undefined,
  header: HeadersGiven,
  message: MessageInitShape<I>,
  contextValues: ContextValues | undefined,
): Omit<UnaryRequest<I, O>, "signal" | "message"> & { message: MessageInitShape<I> } {
  return {
    stream: false,
    service: method.parent,
    method,
    requestMethod: "POST",
    url,
    header: requestHeader(method.methodKind, true, limitMs, header, true),
    contextValues: contextValues ?? createContextValues(),
    message,
  };
}

/** A request with a stream for `runStreamingCall`, with the fields that it would have over HTTP. */
export function streamRequest<I extends DescMessage, O extends DescMessage>(
  method: DescMethodStreaming<I, O>,
  limitMs: number | undefined,
  header: HeadersGiven,
  message: AsyncIterable<MessageInitShape<I>>,
  contextValues: ContextValues | undefined,
): Omit<StreamRequest<I, O>, "signal" | "message"> & { message: AsyncIterable<MessageInitShape<I>> } {
  return {
    stream: true,
    service: method.parent,
    method,
    requestMethod: "POST",
    url: urlOf(method),
    header: requestHeader(method.methodKind, true, limitMs, header, true),
    contextValues: contextValues ?? createContextValues(),
    message,
  };
}

/** A unary answer as an object of its own for interceptors, who copy it. */
export function unaryAnswer<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  { header, message, trailer }: UnaryResponse,
): UnaryResponse<I, O> {
  return { stream: false, service: method.parent, method, header, message, trailer } as UnaryResponse<I, O>;
}

/** A signal that is aborted with `signal`, which has to be when all is done, or when `limitMs` are over. */
export function limitedSignal(signal: AbortSignal, limitMs: number): AbortSignal {
  const limited = new AbortController();
  const late = (): void => end(new ConnectError("the operation timed out", Code.DeadlineExceeded));
  const timer = setTimeout(late, Math.min(limitMs, longestDelayMs));
  const follow = (): void => end(getAbortSignalReason(signal));
  const end = (reason: unknown): void => {
    clearTimeout(timer);
    signal.removeEventListener("abort", follow);
    limited.abort(reason);
  };
  if (signal.aborted) follow();
  else signal.addEventListener("abort", follow, { once: true });
  return limited.signal;
}
