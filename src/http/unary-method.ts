import { create, type DescMethodUnary, type Message, toJsonString } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  type Interceptor,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { compressionNegotiate, createMethodSerializationLookup, getJsonOptions } from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  contentTypeUnaryJson,
  contentTypeUnaryProto,
  errorToJsonBytes,
  headerUnaryAcceptEncoding,
  trailerMux,
} from "@connectrpc/connect/protocol-connect";
import { asBuffer } from "./base-exchange.js";
import { type CallGuard, guardsOf, mapError, runBefore } from "./call-guard.js";
import { DirectCall } from "./direct-call.js";
import { DirectContext } from "./direct-context.js";
import { type DirectHead, type DirectOptions, readUnaryHead } from "./direct-head.js";
import type { FieldList, ServerExchange } from "./exchange.js";
import { fromHeaders } from "./field-list.js";
import { wireFormsOf } from "./shared-message.js";
import { wholeBody } from "./unary-body.js";
import { UnaryCallRequest, UnaryCallResponse } from "./unary-context.js";

/** An implementation, bound to its object. May return what is not a message yet, and promises. */
export type UnaryFunction = (request: Message, context: DirectContext) => unknown;

type Call = DirectCall<DescMethodUnary>;
type UnaryAnswer = (request: UnaryRequest) => Promise<UnaryResponse>;

/**
 * One unary method of the Connect protocol, for calls that {@link readUnaryHead} lets through. Does what Connect's own handler
 * does, without Web streams, `Headers` and abort signals where nobody looks at them.
 */
export class UnaryMethod {
  readonly #method: DescMethodUnary;
  readonly #run: UnaryFunction;
  readonly #options: DirectOptions;
  readonly #serialization: ReturnType<typeof createMethodSerializationLookup>;
  readonly #jsonOptions: ReturnType<typeof getJsonOptions>;
  readonly #guards: readonly CallGuard[] | undefined;
  /** Under which a shared answer keeps its bytes. */
  readonly #forms = { json: {}, binary: {} };

  constructor(method: DescMethodUnary, run: UnaryFunction, options: DirectOptions) {
    const { binaryOptions, jsonOptions } = options;
    this.#method = method;
    this.#run = run;
    this.#options = options;
    this.#serialization = createMethodSerializationLookup(method, binaryOptions, jsonOptions, options);
    this.#jsonOptions = getJsonOptions(jsonOptions);
    this.#guards = guardsOf(options.interceptors);
  }

  /** Undefined if the request is not for this way of calling. Does not touch the body. */
  accept(exchange: ServerExchange): DirectHead | undefined {
    return readUnaryHead(exchange, this.#options);
  }

  /** Serves a call that was accepted. Rejects if the answer could not be made; the exchange is for the one who called to end then. */
  async serve(exchange: ServerExchange, head: DirectHead, contextValues: ContextValues | undefined): Promise<true> {
    const { binary } = head;
    const usualFields = binary ? binaryFields : jsonFields;
    const { timeoutMs } = head;
    const call = new DirectCall(exchange, { method: this.#method, usualFields, timeoutMs, contextValues });
    const bytes = await wholeBody(exchange, (end) => call.exchangeEnded(end));
    if (bytes === undefined) return true;
    let status = 200;
    let body: Uint8Array | string;
    try {
      const message = this.#serialization.getI(binary).parse(binary ? copyOf(bytes) : bytes);
      const output =
        this.#guards === undefined
          ? await this.#intercept(call, message)
          : await this.#guard(call, message, this.#guards);
      body = this.#write(output, binary);
    } catch (error) {
      call.abort(error);
      const told = error instanceof ConnectError ? error : internalError(error);
      status = codeToHttpStatus(told.code);
      const { responseHeader } = call;
      responseHeader.set("content-type", contentTypeUnaryJson);
      told.metadata.forEach((value, key) => {
        responseHeader.set(key, value);
      });
      body = errorToJsonBytes(told, this.#options.jsonOptions);
    } finally {
      call.abort();
    }
    const { acceptEncoding } = head;
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.byteLength;
    if (acceptEncoding === undefined || length < this.#options.compressMinBytes)
      send(exchange, call, status, body, length);
    else await this.#sendCompressed(exchange, call, status, body, acceptEncoding);
    return true;
  }

  /** Runs the implementation behind guards alone. */
  async #guard(call: Call, message: Message, guards: readonly CallGuard[]): Promise<Message> {
    const passed = runBefore(guards);
    try {
      if ("refusal" in passed) throw passed.refusal;
      return create(this.#method.output, (await this.#run(message, new DirectContext(call))) as Message);
    } catch (error) {
      throw mapError(guards, error, passed.entered);
    }
  }

  /** Runs the implementation behind interceptors of any kind. */
  async #intercept(call: Call, message: Message): Promise<Message> {
    const { interceptors } = this.#options;
    const context = new DirectContext(call);
    const request = new UnaryCallRequest(call, message);
    let next: UnaryAnswer = async (given) => {
      const output = await this.#run(given.message as Message, contextFor(given, request, context, call));
      return new UnaryCallResponse(call, create(this.#method.output, output as Message));
    };
    for (let index = interceptors.length - 1; index >= 0; index--) {
      next = (interceptors[index] as Interceptor)(next as never) as UnaryAnswer;
    }
    const response = await next(request);
    if (!(response instanceof UnaryCallResponse) || call.overwritten) {
      replace(call.responseHeader, response.header);
      replace(call.responseTrailer, response.trailer);
    }
    return response.message as Message;
  }

  #write(output: Message, binary: boolean): Uint8Array | string {
    const form = binary ? this.#forms.binary : this.#forms.json;
    const known = wireFormsOf(output);
    const made = known?.get(form);
    if (Buffer.isBuffer(made)) return made;
    const written = binary ? this.#serialization.getO(true).serialize(output) : this.#toJson(output);
    known?.set(form, asBuffer(written));
    return written;
  }

  /** Text can leave in one piece with the head. */
  #toJson(message: Message): string {
    let text: string;
    try {
      text = toJsonString(this.#method.output, message, this.#jsonOptions as object);
    } catch (error) {
      throw ConnectError.from(error, Code.Internal);
    }
    // Only the way through bytes knows how to refuse what is too large.
    if (text.length > this.#options.writeMaxBytes / 3) this.#serialization.getO(false).serialize(message);
    return text;
  }

  async #sendCompressed(
    exchange: ServerExchange,
    call: Call,
    status: number,
    body: Uint8Array | string,
    acceptEncoding: string,
  ): Promise<void> {
    const { acceptCompression } = this.#options;
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : (body as Uint8Array<ArrayBuffer>);
    const { response } = compressionNegotiate(acceptCompression, null, acceptEncoding, headerUnaryAcceptEncoding);
    if (response === null) return send(exchange, call, status, bytes, bytes.length);
    const compressed = await response.compress(bytes);
    call.responseHeader.set("content-encoding", response.name);
    send(exchange, call, status, compressed, compressed.length);
  }
}

function send(exchange: ServerExchange, call: Call, status: number, body: Uint8Array | string, length: number) {
  if (call.hasUsualHeaders) {
    exchange.reply(status, ["content-length", String(length), ...call.usualFields], body);
    return;
  }
  const header = trailerMux(call.responseHeader, call.responseTrailer);
  header.set("content-length", String(length));
  exchange.reply(status, fromHeaders(header), body);
}

const binaryFields: FieldList = Object.freeze(["content-type", contentTypeUnaryProto]);
const jsonFields: FieldList = Object.freeze(["content-type", contentTypeUnaryJson]);

const internalError = (cause: unknown): ConnectError =>
  new ConnectError("internal error", Code.Internal, undefined, undefined, cause);

/** A message keeps parts of what it was read from. They must be plain bytes, and not hold the connection's buffer. */
function copyOf(buffer: Buffer): Uint8Array {
  const bytes = new Uint8Array(buffer.length);
  bytes.set(buffer);
  return bytes;
}

/** What an interceptor passes on in another request replaces what the context says. */
function contextFor(given: UnaryRequest, sent: UnaryCallRequest, context: DirectContext, call: Call): DirectContext {
  const { service, contextValues } = given;
  if (given === sent && !call.overwritten && contextValues === sent.contextValues) return context;
  return { ...context, service, requestHeader: given.header, signal: given.signal, values: contextValues };
}

/** Takes over the fields of another object as Connect does. */
function replace(fields: Headers, others: Headers): void {
  if (fields === others) return;
  // Deleting moves what the iteration goes over, so that some fields stay. It is what callers get from Connect's handlers.
  fields.forEach((_value, name) => {
    fields.delete(name);
  });
  others.forEach((value, name) => {
    fields.set(name, value);
  });
}
