import type { Duplex } from "node:stream";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { PluginHostError } from "./errors.js";
import { callShapes, connectTransport, endStreamsWithReader, pathOf } from "./http/connect-client.js";
import { HttpClient } from "./http/http-client.js";
import type { InProcessRoute } from "./link/in-process-route.js";
import { InProcessTransport } from "./link/in-process-transport.js";
import type { ServiceRegistry } from "./registry/service-registry.js";

/** How the program that embeds the host calls a service. */
export interface HostClientOptions {
  /** Service type. @default the type whose registered path is that of the service, such as `/logger.v1.Logger/` */
  readonly type?: string;
  /** A complete `x.y.z` is a minimum, anything else an npm range. @default any version */
  readonly minVersion?: string;
}

/** What clients for the host's own code are made of. */
export interface HostClientsParts {
  readonly registry: ServiceRegistry;
  /** Opens a connection in memory to the host. */
  readonly connect: () => Duplex;
  /** The host's own way to a provider. */
  readonly route: (serviceType: string, idOrAny: string) => InProcessRoute;
  /** Changes whenever the visible state does. */
  readonly revision: () => number;
}

/**
 * Clients for the host's own code: typed, through the router like everybody's calls, straight to providers in this
 * process and over connections in memory to the others.
 */
export class HostClients {
  readonly #parts: HostClientsParts;
  readonly #registry: ServiceRegistry;
  readonly #http: HttpClient;

  constructor(parts: HostClientsParts) {
    const { registry, connect } = parts;
    this.#parts = parts;
    this.#registry = registry;
    this.#http = new HttpClient({ origin: "http://host.invalid", prefix: "", connect, inMemory: true });
  }

  /** A client whose calls each find a provider of their own. */
  client<S extends DescService>(service: S, options: HostClientOptions = {}): Client<S> {
    const shapeOf = new Map(service.methods.map((method) => [method.name, callShapes[method.methodKind]]));
    const send: UniversalClientFn = ({ url, ...request }) => {
      const path = pathOf(url);
      const name = path.slice(path.lastIndexOf("/") + 1).split("?", 1)[0] ?? "";
      const shape = shapeOf.get(name) ?? "whole";
      return this.#http.send({ ...request, path: this.#basePath(service, options) + path, shape });
    };
    const route = this.#routeFinder(service, options);
    const transport = new InProcessTransport({ route, connection: connectTransport(send), interceptors: [] });
    return endStreamsWithReader(service, createClient(service, transport));
  }

  /** Closes the connections in memory. */
  close(): void {
    this.#http.close();
  }

  /** Finds the way to a provider for each call. What is known stays so until the visible state changes. */
  #routeFinder(service: DescService, options: HostClientOptions): () => InProcessRoute | undefined {
    const routes = new Map<string, InProcessRoute>();
    let revision = -1;
    let anyPath: string | undefined;
    return () => {
      if (revision !== this.#parts.revision()) {
        revision = this.#parts.revision();
        routes.clear();
        anyPath = undefined;
      }
      try {
        const path = anyPath ?? this.#basePath(service, options);
        // With a range each call chooses by the type's strategy.
        if (options.minVersion === undefined) anyPath = path;
        let route = routes.get(path);
        if (route === undefined) {
          const [, , type = "", idOrAny = ""] = path.split("/");
          route = this.#parts.route(type, idOrAny);
          routes.set(path, route);
        }
        return route;
      } catch {
        // The same comes out of the way over a connection, which tells the caller of it.
        return undefined;
      }
    };
  }

  #basePath(service: DescService, { type = this.#typeOf(service), minVersion }: HostClientOptions): string {
    if (minVersion === undefined) return `/services/${type}/any`;
    const { registration } = this.#registry.discover(type, { minVersion });
    return `/services/${type}/${registration.runtimeId}`;
  }

  #typeOf(service: DescService): string {
    const path = `/${service.typeName}/`;
    for (const { type, providers } of this.#registry.services()) {
      if (providers.some(({ provider }) => provider.registration.path === path)) return type;
    }
    throw new PluginHostError(
      "NO_PROVIDER",
      `nobody provides ${service.typeName}; add a plugin, or name the service type`,
    );
  }
}
