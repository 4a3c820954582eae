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
import { callLimit } from "./call-limit.js";
import { compressions } from "./compression.js";
import type { CallShape } from "./http-client.js";

// Never dialled: only the path after it is used.
const nowhere = "http://host.invalid";
const largestMessageBytes = 0xffffffff;

/** A Connect transport, binary, compressed answers accepted, over any way to send requests. */
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
    unary: async (method, signal, timeoutMs, ...rest) => unary(method, signal, callLimit(timeoutMs), ...rest),
    stream: async (method, signal, timeoutMs, ...rest) => stream(method, signal, callLimit(timeoutMs), ...rest),
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
