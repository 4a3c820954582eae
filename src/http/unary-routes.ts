import type { DescMethod, DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type ConnectRouterOptions } from "@connectrpc/connect";
import { type UniversalHandler, validateUniversalHandlerOptions } from "@connectrpc/connect/protocol";
import { type UnaryFunction, UnaryMethod } from "./unary-method.js";

type Methods = ReadonlyMap<UniversalHandler, UnaryMethod>;

/**
 * Adds routes to a router and takes down the unary methods among them that can be called directly, by the handler that
 * Connect has for each. None if the options ask for something that only Connect's handlers do.
 *
 * @throws whatever `routes` throws
 */
export function addRoutes(
  router: ConnectRouter,
  routes: (router: ConnectRouter) => void,
  options: ConnectRouterOptions,
): Methods {
  const methods = new Map<UniversalHandler, UnaryMethod>();
  if (!allowDirectCalls(options)) {
    routes(router);
    return methods;
  }
  const checked = validateUniversalHandlerOptions(options);
  const note = (from: number, implementationOf: (method: DescMethod) => UnaryFunction): void => {
    for (const handler of router.handlers.slice(from)) {
      const { method } = handler;
      if (!isUnary(method)) continue;
      methods.set(handler, new UnaryMethod(method, implementationOf(method), checked));
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
      if (own === undefined) note(from, () => implementation as UnaryFunction);
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

const isUnary = (method: DescMethod): method is DescMethodUnary => method.methodKind === "unary";

function boundTo(implementation: object, method: DescMethod): UnaryFunction {
  const given = (implementation as Record<string, unknown>)[method.localName];
  if (typeof given === "function") return given.bind(implementation);
  const message = `${method.parent.typeName}.${method.name} is not implemented`;
  return () => {
    throw new ConnectError(message, Code.Unimplemented);
  };
}
