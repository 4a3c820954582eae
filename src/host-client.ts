import type { Duplex } from "node:stream";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { PluginHostError } from "./errors.js";
import { callShapes, connectTransport, endStreamsWithReader, pathOf } from "./http/connect-client.js";
import { HttpClient } from "./http/http-client.js";
import type { ServiceRegistry } from "./registry/service-registry.js";

/** How the program that embeds the host calls a service. */
export interface HostClientOptions {
  /** Service type. @default the type whose registered path is that of the service, such as `/logger.v1.Logger/` */
  readonly type?: string;
  /** A complete `x.y.z` is a minimum, anything else an npm range. @default any version */
  readonly minVersion?: string;
}

/** Clients for the host's own code: typed, through the router like everybody's calls, over connections in memory. */
export class HostClients {
  readonly #registry: ServiceRegistry;
  readonly #http: HttpClient;

  constructor(registry: ServiceRegistry, connect: () => Duplex) {
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
    return endStreamsWithReader(service, createClient(service, connectTransport(send)));
  }

  /** Closes the connections in memory. */
  close(): void {
    this.#http.close();
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
