import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { type ContextValues, createContextValues, type HandlerContext } from "@connectrpc/connect";

/** Where a context gets what costs something to make. Each is made once. */
export interface ContextSource {
  readonly method: DescMethod;
  readonly signal: AbortSignal;
  readonly requestHeader: Headers;
  readonly responseHeader: Headers;
  readonly responseTrailer: Headers;
  /** By `Date.now()`; undefined without a deadline. */
  readonly deadlineAt: number | undefined;
}

const noTimeout = (): undefined => undefined;

/** The properties of a context. Those that are made when they are read are undefined until then. */
class Properties {
  readonly method: DescMethod;
  readonly service: DescService;
  readonly requestMethod = "POST";
  readonly protocolName = "connect";
  readonly url: string;
  readonly timeoutMs: () => number | undefined;
  signal: AbortSignal | undefined = undefined;
  requestHeader: Headers | undefined = undefined;
  responseHeader: Headers | undefined = undefined;
  responseTrailer: Headers | undefined = undefined;
  values: ContextValues | undefined = undefined;
  readonly #source: ContextSource;

  constructor(source: ContextSource, url: string) {
    const { method, deadlineAt } = source;
    this.#source = source;
    this.method = method;
    this.service = method.parent;
    this.url = url;
    this.timeoutMs = deadlineAt === undefined ? noTimeout : () => deadlineAt - Date.now();
  }

  static read(properties: Properties, name: string | symbol): unknown {
    switch (name) {
      case "signal":
      case "requestHeader":
      case "responseHeader":
      case "responseTrailer":
        properties[name] ??= properties.#source[name] as never;
        return properties[name];
      case "values":
        properties.values ??= createContextValues();
        return properties.values;
      default:
        return Reflect.get(properties, name);
    }
  }
}

// A proxy rather than accessors: accessors on a prototype are lost to whoever copies the context, and accessors of its own
// take longer to define than the whole rest of a call.
const lazily: ProxyHandler<Properties> = { get: Properties.read };

/** The context of a call, as Connect makes it for implementations, of which nothing exists before it is looked at. */
export const lazyContext = (source: ContextSource, url: string): HandlerContext =>
  new Proxy(new Properties(source, url), lazily) as unknown as HandlerContext;
