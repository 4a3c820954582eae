import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextValues, type ServiceImpl } from "@connectrpc/connect";
import { guardInterceptor } from "../http/call-guard.js";
import { connectHandler } from "../http/connect-handler.js";
import type { ExchangeHandler, ServerExchange } from "../http/exchange.js";
import { fetchHandler } from "../http/fetch-handler.js";
import { anyNodeHandler } from "../http/node-bridge.js";
import { peerIdentity } from "../http/peer-certificate.js";
import { answerPlain } from "../http/request-check.js";
import type { InFlight } from "../internal/in-flight.js";
import { addOwnServices, type OwnServicesOptions } from "./own-services.js";
import type { FetchHandler, NodeHandler } from "./plugin-definition.js";
import type { ResolvedService } from "./resolve-definition.js";

/** What a plugin's handler needs beside what its own services need. */
export interface PluginHandlerOptions extends OwnServicesOptions {
  /** Counts the calls of the provided services. */
  readonly inFlight: InFlight;
  /** What `setup` returned, by service type. Calls that come earlier wait for it. */
  readonly implementations: Promise<Readonly<Record<string, unknown>>>;
  /** Whether new calls are refused, because the plugin stops. */
  readonly refusing: () => boolean;
}

interface MountedService {
  readonly path: string;
  readonly serve: ExchangeHandler;
}

/** What callers are told who come when the plugin stops. */
export const stopping = "the plugin is stopping";

/** Answers everything on a plugin's server: its own services, and behind them what it provides. */
export function createPluginHandler(options: PluginHandlerOptions): ExchangeHandler {
  const { inFlight } = options;
  const own = connectHandler({
    routes: (router) => addOwnServices(router, options),
  });
  let mounted: readonly MountedService[] | undefined;
  const ready = options.implementations.then((implementations) => {
    mounted = mountServices(options, implementations);
    return mounted;
  });
  // Who fails to set up is told elsewhere; calls that wait see it below.
  ready.catch(() => {});

  return (exchange) => {
    if (exchange.head.target.startsWith("/connectplugin.")) {
      const handled = own.handle(exchange);
      return handled === false ? answerPlain(exchange, 404, "no such procedure") : handled.then(() => {});
    }
    const call = { abort: () => exchange.abort() };
    inFlight.enter(call);
    exchange.onEnd(() => inFlight.leave(call));
    if (mounted !== undefined) return dispatch(mounted, exchange);
    return ready.then(
      (services) => dispatch(services, exchange),
      () => answerPlain(exchange, 503, stopping),
    );
  };
}

function dispatch(services: readonly MountedService[], exchange: ServerExchange): void | Promise<void> {
  const { target } = exchange.head;
  const service = services.find(({ path }) => target.startsWith(path));
  return service === undefined ? answerPlain(exchange, 404, "no service at this path") : service.serve(exchange);
}

function mountServices(
  options: PluginHandlerOptions,
  implementations: Readonly<Record<string, unknown>>,
): readonly MountedService[] {
  const services = options.definition.provides.map((service) => ({
    path: service.path,
    serve: serveService(service, implementations[service.type], options),
  }));
  // The longest path first, so that "/" takes what nobody else does.
  return services.sort((a, b) => b.path.length - a.path.length);
}

function serveService(
  { kind, path }: ResolvedService,
  implementation: unknown,
  { definition, refusing }: PluginHandlerOptions,
): ExchangeHandler {
  if (kind.name !== "connect") {
    const serve =
      kind.name === "fetch"
        ? fetchHandler(implementation as FetchHandler)
        : anyNodeHandler(implementation as NodeHandler);
    return (exchange) => (refusing() ? answerPlain(exchange, 503, stopping) : serve(exchange));
  }
  // Refused inside Connect, so that the error is in the caller's protocol.
  const refuse = guardInterceptor({
    before: () => {
      if (refusing()) throw new ConnectError(stopping, Code.Unavailable);
    },
  });
  const { service } = kind;
  const handler = connectHandler({
    ...definition.server,
    routes: (router) => router.service(service, implementation as ServiceImpl<DescService>),
    interceptors: [refuse],
    contextValues: ({ head }) => {
      const { peer } = head.connection;
      return peer && createContextValues().set(peerIdentity, peer);
    },
    requestPathPrefix: path.slice(0, -`/${service.typeName}/`.length),
  });
  return (exchange) => {
    const handled = handler.handle(exchange);
    return handled === false ? answerPlain(exchange, 404, "no such procedure") : handled.then(() => {});
  };
}
