import type { DescMethod, DescMethodUnary, DescService, Message } from "@bufbuild/protobuf";
import type { ContextValues, HandlerContext, UnaryRequest, UnaryResponse } from "@connectrpc/connect";
import type { UnaryCall } from "./unary-call.js";

const call: unique symbol = Symbol("call");

interface View {
  readonly [call]: UnaryCall;
}

/** A property like any other, also to whoever copies all of them, but computed when it is read. */
const lazily = (
  name: string,
  key: "signal" | "requestHeader" | "responseHeader" | "responseTrailer",
): PropertyDescriptor & ThisType<View> => ({
  enumerable: true,
  configurable: true,
  get() {
    return this[call][key];
  },
  set(value: unknown) {
    this[call].overwritten = true;
    Object.defineProperty(this, name, { value, enumerable: true, configurable: true, writable: true });
  },
});
const signal = lazily("signal", "signal");
const contextRequestHeader = lazily("requestHeader", "requestHeader");
const contextResponseHeader = lazily("responseHeader", "responseHeader");
const contextResponseTrailer = lazily("responseTrailer", "responseTrailer");
const requestHeader = lazily("header", "requestHeader");
const responseHeader = lazily("header", "responseHeader");
const responseTrailer = lazily("trailer", "responseTrailer");

const noTimeout = (): undefined => undefined;

/** The context of a call, as Connect makes it for implementations. */
export class UnaryContext implements HandlerContext {
  declare readonly signal: AbortSignal;
  declare readonly requestHeader: Headers;
  declare readonly responseHeader: Headers;
  declare readonly responseTrailer: Headers;
  readonly [call]: UnaryCall;
  readonly method: DescMethod;
  readonly service: DescService;
  readonly requestMethod = "POST";
  readonly protocolName = "connect";
  readonly values: ContextValues;
  readonly url: string;
  readonly timeoutMs: () => number | undefined;

  constructor(of: UnaryCall) {
    const { method } = of;
    const { deadlineAt } = of;
    this[call] = of;
    this.method = method;
    this.service = method.parent;
    this.values = of.values;
    this.url = of.url;
    this.timeoutMs = deadlineAt === undefined ? noTimeout : () => deadlineAt - Date.now();
    Object.defineProperty(this, "signal", signal);
    Object.defineProperty(this, "requestHeader", contextRequestHeader);
    Object.defineProperty(this, "responseHeader", contextResponseHeader);
    Object.defineProperty(this, "responseTrailer", contextResponseTrailer);
  }
}

/** A call as interceptors see it. */
export class UnaryCallRequest implements UnaryRequest {
  declare readonly signal: AbortSignal;
  declare readonly header: Headers;
  readonly [call]: UnaryCall;
  readonly stream = false;
  readonly message: Message;
  readonly method: DescMethodUnary;
  readonly requestMethod = "POST";
  readonly url: string;
  readonly service: DescService;
  readonly contextValues: ContextValues;

  constructor(of: UnaryCall, message: Message) {
    const { method } = of;
    this[call] = of;
    this.message = message;
    this.method = method;
    this.url = of.url;
    this.service = method.parent;
    this.contextValues = of.values;
    Object.defineProperty(this, "signal", signal);
    Object.defineProperty(this, "header", requestHeader);
  }
}

/** The answer to a call as interceptors see it. */
export class UnaryCallResponse implements UnaryResponse {
  declare readonly header: Headers;
  declare readonly trailer: Headers;
  readonly [call]: UnaryCall;
  readonly message: Message;
  readonly stream = false;
  readonly method: DescMethodUnary;
  readonly service: DescService;

  constructor(of: UnaryCall, message: Message) {
    const { method } = of;
    this[call] = of;
    this.message = message;
    this.method = method;
    this.service = method.parent;
    Object.defineProperty(this, "header", responseHeader);
    Object.defineProperty(this, "trailer", responseTrailer);
  }
}
