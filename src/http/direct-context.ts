import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { ContextValues, HandlerContext } from "@connectrpc/connect";
import type { DirectCall } from "./direct-call.js";

/** Where a view of a call keeps the call. */
export const call: unique symbol = Symbol("call");

interface View {
  readonly [call]: DirectCall;
}

/** A property like any other, also to whoever copies all of them, but computed when it is read. */
export const lazily = (
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
const requestHeader = lazily("requestHeader", "requestHeader");
const responseHeader = lazily("responseHeader", "responseHeader");
const responseTrailer = lazily("responseTrailer", "responseTrailer");

const noTimeout = (): undefined => undefined;

/** The context of a call, as Connect makes it for implementations. */
export class DirectContext implements HandlerContext {
  declare readonly signal: AbortSignal;
  declare readonly requestHeader: Headers;
  declare readonly responseHeader: Headers;
  declare readonly responseTrailer: Headers;
  readonly [call]: DirectCall;
  readonly method: DescMethod;
  readonly service: DescService;
  readonly requestMethod = "POST";
  readonly protocolName = "connect";
  readonly values: ContextValues;
  readonly url: string;
  readonly timeoutMs: () => number | undefined;

  constructor(of: DirectCall) {
    const { method } = of;
    const { deadlineAt } = of;
    this[call] = of;
    this.method = method;
    this.service = method.parent;
    this.values = of.values;
    this.url = of.url;
    this.timeoutMs = deadlineAt === undefined ? noTimeout : () => deadlineAt - Date.now();
    Object.defineProperty(this, "signal", signal);
    Object.defineProperty(this, "requestHeader", requestHeader);
    Object.defineProperty(this, "responseHeader", responseHeader);
    Object.defineProperty(this, "responseTrailer", responseTrailer);
  }
}
