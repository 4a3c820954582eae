import type { DescMethodServerStreaming, Message } from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";
import { type Compression, compressionNegotiate, createMethodSerializationLookup } from "@connectrpc/connect/protocol";
import {
  contentTypeStreamJson,
  contentTypeStreamProto,
  createEndStreamSerialization,
  headerStreamAcceptEncoding,
} from "@connectrpc/connect/protocol-connect";
import type { CallGuard } from "./call-guard.js";
import { DirectCall } from "./direct-call.js";
import { type DirectHead, type DirectOptions, readStreamHead } from "./direct-head.js";
import { envelope, readOneMessage } from "./envelope.js";
import type { FieldList, ServerExchange } from "./exchange.js";
import { StreamAnswer, type StreamFunction } from "./stream-answer.js";
import { StreamCodec } from "./stream-codec.js";

/** Serves a call the ordinary way, with its body from the beginning on. */
export type ServeOrdinary = (body: AsyncIterable<Uint8Array>) => Promise<true>;

/**
 * One server-streaming method of the Connect protocol, for calls that `readStreamHead` lets through. Does what Connect's
 * own handler does, without the five iterables that every message passes there, and writes shared messages only once.
 */
export class StreamMethod {
  readonly #method: DescMethodServerStreaming;
  readonly #run: StreamFunction;
  readonly #options: DirectOptions;
  readonly #guards: readonly CallGuard[];
  readonly #serialization: ReturnType<typeof createMethodSerializationLookup>;
  readonly #endSerialization: ReturnType<typeof createEndStreamSerialization>;
  readonly #codecs = new Map<string, StreamCodec>();

  constructor(
    method: DescMethodServerStreaming,
    run: StreamFunction,
    options: DirectOptions,
    guards: readonly CallGuard[],
  ) {
    const { binaryOptions, jsonOptions } = options;
    this.#method = method;
    this.#run = run;
    this.#options = options;
    this.#guards = guards;
    this.#serialization = createMethodSerializationLookup(method, binaryOptions, jsonOptions, options);
    this.#endSerialization = createEndStreamSerialization(jsonOptions);
  }

  /** Undefined if the request is not for this way of calling. Does not touch the body. */
  accept(exchange: ServerExchange): DirectHead | undefined {
    return readStreamHead(exchange, this.#options);
  }

  /**
   * Serves a call that was accepted; `ordinary` does if its body turns out to be anything but one plain message. Rejects if
   * the answer could not be completed; the exchange is for the one who called to end then.
   */
  async serve(
    exchange: ServerExchange,
    head: DirectHead,
    contextValues: ContextValues | undefined,
    ordinary: ServeOrdinary,
  ): Promise<true> {
    const { binary, timeoutMs, acceptEncoding } = head;
    const { acceptCompression, readMaxBytes } = this.#options;
    const { response } = compressionNegotiate(
      acceptCompression,
      null,
      acceptEncoding ?? null,
      headerStreamAcceptEncoding,
    );
    const contentType = ["content-type", binary ? contentTypeStreamProto : contentTypeStreamJson];
    const usualFields: FieldList =
      response === null ? contentType : ["connect-content-encoding", response.name, ...contentType];
    const call = new DirectCall(exchange, { method: this.#method, usualFields, timeoutMs, contextValues });
    exchange.onEnd((end) => call.exchangeEnded(end));
    const request = await readOneMessage(exchange, readMaxBytes);
    if ("body" in request) return ordinary(request.body);
    let message: Message;
    try {
      message = this.#serialization.getI(binary).parse(request.message);
    } catch {
      return ordinary(only(envelope(0, request.message)));
    }
    return new StreamAnswer(exchange, call, {
      run: this.#run,
      guards: this.#guards,
      codec: this.#codec(binary, response),
      endSerialization: this.#endSerialization,
    }).serve(message);
  }

  #codec(binary: boolean, compression: Compression | null): StreamCodec {
    const key = `${binary ? "proto" : "json"} ${compression?.name ?? ""}`;
    let codec = this.#codecs.get(key);
    if (codec === undefined) {
      const { compressMinBytes } = this.#options;
      const { serialize } = this.#serialization.getO(binary);
      codec = new StreamCodec({ output: this.#method.output, serialize, compression, compressMinBytes });
      this.#codecs.set(key, codec);
    }
    return codec;
  }
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
