import type { DescMethod, DescMethodServerStreaming, DescMethodUnary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ConnectRouterOptions,
  type ContextValues,
} from "@connectrpc/connect";
import { type UniversalHandler, validateUniversalHandlerOptions } from "@connectrpc/connect/protocol";
import { guardsOf } from "./call-guard.js";
import type { DirectHead, DirectOptions } from "./direct-head.js";
import type { ServerExchange } from "./exchange.js";
import type { StreamFunction } from "./stream-answer.js";
import { type ServeOrdinary, StreamMethod } from "./stream-method.js";
import { type UnaryFunction, UnaryMethod } from "./unary-method.js";

/** A method that can be called without Connect's own handler. */
export interface DirectMethod {
  /** Undefined if the request is not for this way of calling. Does not touch the body. */
  accept(exchange: ServerExchange): DirectHead | undefined;
  /**
   * Serves a call that was accepted, or lets `ordinary` do it. Rejects if the answer could not be completed; the exchange is
   * for the one who called to end then.
   */
  serve(
    exchange: ServerExchange,
    head: DirectHead,
    contextValues: ContextValues | undefined,
    ordinary: ServeOrdinary,
  ): Promise<true>;
}

type Methods = ReadonlyMap<UniversalHandler, DirectMethod>;
type Implementation = UnaryFunction & StreamFunction;

/**
 * Adds routes to a router and takes down the methods among them that can be called directly, unary and server-streaming
 * ones, by the handler that Connect has for each. None if the options ask for something that only Connect's handlers do.
 *
 * @throws whatever `routes` throws
 */
export function addRoutes(
  router: ConnectRouter,
  routes: (router: ConnectRouter) => void,
  options: ConnectRouterOptions,
): Methods {
  const methods = new Map<UniversalHandler, DirectMethod>();
  if (!allowDirectCalls(options)) {
    routes(router);
    return methods;
  }
  const checked = validateUniversalHandlerOptions(options);
  const note = (from: number, implementationOf: (method: DescMethod) => Implementation): void => {
    for (const handler of router.handlers.slice(from)) {
      const direct = directMethod(handler.method, implementationOf, checked);
      if (direct !== undefined) methods.set(handler, direct);
    }
  };
  const noting: ConnectRouter = {
    handlers: router.handlers,
    service(service, implementation, own) {
      const from = router.handlers.length;
      router.service(service, implementation, own);
      // With options of its own a service goes the ordinary way.
      if (own === undefined) note(from, (method) => boundTo(implementation, method));
      return this;
    },
    rpc(method, implementation, own) {
      const from = router.handlers.length;
      router.rpc(method, implementation, own);
      if (own === undefined) note(from, () => implementation as Implementation);
      return this;
    },
  };
  routes(noting);
  return methods;
}

function allowDirectCalls({ connect, shutdownSignal, jsonOptions = {} }: ConnectRouterOptions): boolean {
  return (
    connect !== false && shutdownSignal === undefined && !("textEncoder" in jsonOptions || "textDecoder" in jsonOptions)
  );
}

function directMethod(
  method: DescMethod,
  implementationOf: (method: DescMethod) => Implementation,
  options: DirectOptions,
): DirectMethod | undefined {
  if (isUnary(method)) return new UnaryMethod(method, implementationOf(method), options);
  if (!isServerStreaming(method)) return undefined;
  // Interceptors that look at the messages of a stream get the iterables that Connect makes.
  const guards = guardsOf(options.interceptors);
  return guards && new StreamMethod(method, implementationOf(method), options, guards);
}

const isUnary = (method: DescMethod): method is DescMethodUnary => method.methodKind === "unary";
const isServerStreaming = (method: DescMethod): method is DescMethodServerStreaming =>
  method.methodKind === "server_streaming";

function boundTo(implementation: object, method: DescMethod): Implementation {
  const given = (implementation as Record<string, unknown>)[method.localName];
  if (typeof given === "function") return given.bind(implementation);
  const message = `${method.parent.typeName}.${method.name} is not implemented`;
  return () => {
    throw new ConnectError(message, Code.Unimplemented);
  };
}
