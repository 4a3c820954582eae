import type { DescMethodUnary, DescService, Message } from "@bufbuild/protobuf";
import type { ContextValues, UnaryRequest, UnaryResponse } from "@connectrpc/connect";
import type { DirectCall } from "./direct-call.js";
import { call, lazily } from "./direct-context.js";

const signal = lazily("signal", "signal");
const requestHeader = lazily("header", "requestHeader");
const responseHeader = lazily("header", "responseHeader");
const responseTrailer = lazily("trailer", "responseTrailer");

/** A call as interceptors see it. */
export class UnaryCallRequest implements UnaryRequest {
  declare readonly signal: AbortSignal;
  declare readonly header: Headers;
  readonly [call]: DirectCall<DescMethodUnary>;
  readonly stream = false;
  readonly message: Message;
  readonly method: DescMethodUnary;
  readonly requestMethod = "POST";
  readonly url: string;
  readonly service: DescService;
  readonly contextValues: ContextValues;

  constructor(of: DirectCall<DescMethodUnary>, message: Message) {
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
  readonly [call]: DirectCall<DescMethodUnary>;
  readonly message: Message;
  readonly stream = false;
  readonly method: DescMethodUnary;
  readonly service: DescService;

  constructor(of: DirectCall<DescMethodUnary>, message: Message) {
    const { method } = of;
    this[call] = of;
    this.message = message;
    this.method = method;
    this.service = method.parent;
    Object.defineProperty(this, "header", responseHeader);
    Object.defineProperty(this, "trailer", responseTrailer);
  }
}
