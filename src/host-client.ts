import http from "node:http";
import type { Duplex } from "node:stream";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { PluginHostError } from "./errors.js";
import type { ServiceRegistry } from "./registry/service-registry.js";

/** How the program that embeds the host calls a service. */
export interface HostClientOptions {
  /** Service type. @default the type whose registered path is that of the service, such as `/logger.v1.Logger/` */
  readonly type?: string;
  /** A complete `x.y.z` is a minimum, anything else an npm range. @default any version */
  readonly minVersion?: string;
}

const base = "http://host.invalid";

/** Clients for the host's own code: typed, through the router like everybody's calls, over connections in memory. */
export class HostClients {
  readonly #registry: ServiceRegistry;
  readonly #connect: () => Duplex;
  readonly #agent: http.Agent;
  readonly #sessions: Http2SessionManager;

  constructor(registry: ServiceRegistry, connect: () => Duplex) {
    this.#registry = registry;
    this.#connect = connect;
    this.#agent = new http.Agent({ keepAlive: true });
    this.#agent.createConnection = () => connect();
    this.#sessions = new Http2SessionManager(base, undefined, { createConnection: () => this.#connect() });
  }

  /** A client whose calls each find a provider of their own. */
  client<S extends DescService>(service: S, options: HostClientOptions = {}): Client<S> {
    const transportFor = (): Transport => this.#transport(this.#basePath(service, options));
    return createClient(service, {
      unary: (method, signal, timeoutMs, header, input, contextValues) =>
        transportFor().unary(method, signal, timeoutMs, header, input, contextValues),
      stream: (method, signal, timeoutMs, header, input, contextValues) =>
        transportFor().stream(method, signal, timeoutMs, header, input, contextValues),
    });
  }

  /** Closes the connections in memory. */
  close(): void {
    this.#agent.destroy();
    this.#sessions.abort();
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

  #transport(path: string): Transport {
    const baseUrl = `${base}${path}`;
    const http1 = createConnectTransport({ httpVersion: "1.1", baseUrl, nodeOptions: { agent: this.#agent } });
    // Both directions at once need HTTP/2; everything else goes the way that every provider speaks.
    const http2 = createConnectTransport({ httpVersion: "2", baseUrl, sessionManager: this.#sessions });
    return {
      unary: (...call) => http1.unary(...call),
      stream: (...call) => (call[0].methodKind === "bidi_streaming" ? http2 : http1).stream(...call),
    };
  }
}
