import type { ExchangeHandler } from "../http/exchange.js";
import type { LinkStream, LinkStreamHandler } from "../link/link-stream.js";
import { routerMethods } from "../link/router-methods.js";
import { serveLinkCalls } from "../link/serve-link-calls.js";
import type { InProcessServices } from "../model/in-process-services.js";
import { addOwnServices, type OwnServicesOptions } from "./own-services.js";

/** What answers the calls that come over a plugin's link. */
export interface LinkServicesOptions extends OwnServicesOptions {
  /** The methods of what the plugin provides. */
  readonly provided: InProcessServices;
  /** What `setup` returned; calls that come earlier wait for it. */
  readonly implementations: Promise<unknown>;
  /** Answers HTTP exchanges, as on the plugin's port. */
  readonly handler: ExchangeHandler;
  readonly onError: (error: unknown) => void;
}

/** Makes what takes the calls of a plugin's link: its own services, and what it provides. */
export function linkServices(options: LinkServicesOptions): (stream: LinkStream) => LinkStreamHandler {
  const { definition, provided, handler: exchange, onError } = options;
  const own = routerMethods((router) => addOwnServices(router, options));
  let ready: Promise<unknown> | undefined = options.implementations;
  const isReady = (): void => {
    ready = undefined;
  };
  options.implementations.then(isReady, isReady);
  return serveLinkCalls({
    services: { find: (path) => (path.startsWith("/connectplugin.") ? own.get(path) : provided.find(path)) },
    ready: () => ready,
    isHttpOnly: (path) =>
      definition.provides.some(({ kind, path: at }) => kind.name !== "connect" && path.startsWith(at)),
    exchange,
    onError,
  });
}
