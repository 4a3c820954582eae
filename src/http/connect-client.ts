import type { DescMethod, DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { longestDelayMs } from "../internal/clock.js";
import { callLimit } from "./call-limit.js";
import { compressions } from "./compression.js";
import type { CallShape } from "./http-client.js";

// Never dialled: only the path after it is used.
const nowhere = "http://host.invalid";
const largestMessageBytes = 0xffffffff;

/**
 * A Connect transport, binary, compressed answers accepted, over any way to send requests. Callers may give times that are no whole
 * milliseconds, and messages that can only be asked for the next one.
 */
export function connectTransport(httpClient: UniversalClientFn, interceptors: readonly Interceptor[] = []): Transport {
  const { unary, stream } = createTransport({
    httpClient,
    baseUrl: nowhere,
    useBinaryFormat: true,
    interceptors: [...interceptors],
    acceptCompression: [...compressions],
    sendCompression: null,
    compressMinBytes: 1024,
    readMaxBytes: largestMessageBytes,
    writeMaxBytes: largestMessageBytes,
  });
  return {
    unary: async (method, signal, timeoutMs, ...rest) => unary(method, signal, waitableMs(timeoutMs), ...rest),
    stream: async (method, signal, timeoutMs, header, input, contextValues) =>
      stream(method, signal, waitableMs(timeoutMs), header, leavable(input), contextValues),
  };
}

/** The time limit of a call, as far as a timer of Node can wait. */
function waitableMs(timeoutMs: number | undefined): number | undefined {
  const limitMs = callLimit(timeoutMs);
  return limitMs === undefined ? undefined : Math.min(longestDelayMs, limitMs);
}

/**
 * The same messages. Connect wants an iterator with all three methods, and waits for the caller's clean-up before it takes an answer that
 * came early.
 */
function leavable<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const given = messages[Symbol.asyncIterator]();
      const leave = (): void => void given.return?.().catch(() => {});
      return {
        next: () => given.next(),
        async return() {
          leave();
          return { done: true, value: undefined };
        },
        async throw(reason: unknown) {
          if (given.throw === undefined) leave();
          else given.throw(reason).catch(() => {});
          throw reason;
        },
      };
    },
  };
}

/** Path and query of a request made by {@link connectTransport}. */
export const pathOf = (url: string): string => url.slice(nowhere.length);

/** How the calls of each kind of method travel. */
export const callShapes = {
  unary: "whole",
  server_streaming: "streamed",
  client_streaming: "streamed",
  bidi_streaming: "duplex",
} satisfies Record<DescMethod["methodKind"], CallShape>;

type StreamCall = (request: unknown, options?: CallOptions) => AsyncIterable<unknown>;

/** Connect's clients go on with a stream when its reader has left the loop; here that ends the call. */
export function endStreamsWithReader<Desc extends DescService>(service: Desc, client: Client<Desc>): Client<Desc> {
  const methods: Record<string, unknown> = { ...client };
  for (const { localName, methodKind } of service.methods) {
    if (methodKind !== "server_streaming" && methodKind !== "bidi_streaming") continue;
    const call = methods[localName] as StreamCall;
    methods[localName] = ((request, options) => {
      const left = new AbortController();
      const signal = options?.signal === undefined ? left.signal : AbortSignal.any([options.signal, left.signal]);
      const messages = call(request, { ...options, signal });
      return { [Symbol.asyncIterator]: () => untilLeft(messages, left) };
    }) satisfies StreamCall;
  }
  return methods as Client<Desc>;
}

async function* untilLeft(messages: AsyncIterable<unknown>, left: AbortController): AsyncGenerator<unknown> {
  let complete = false;
  try {
    yield* messages;
    complete = true;
  } finally {
    if (!complete) left.abort(new ConnectError("the reader left the stream", Code.Canceled));
  }
}
