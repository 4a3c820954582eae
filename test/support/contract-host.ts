import http from "node:http";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { HandshakeService } from "../../src/gen/connectplugin/v1/handshake_pb.js";
import { PluginLifecycle } from "../../src/gen/connectplugin/v1/lifecycle_pb.js";
import { ServiceRegistry } from "../../src/gen/connectplugin/v1/registry_pb.js";
import type { ServerExchange } from "../../src/http/exchange.js";
import { createOnePortServer, type OnePortServer } from "../../src/http/one-port-server.js";
import { type ListenTarget, Platform, type PlatformEvents, type PlatformOptions } from "../../src/index.js";

/** The handshake's cookie and versions, as the contract has them by default. */
export const greeting = {
  coreProtocolVersion: 1,
  appProtocolVersion: 1,
  magicCookieKey: "CONNECT_PLUGIN",
  magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
};

const procedures = new Map(
  [HandshakeService, ServiceRegistry, PluginLifecycle].flatMap(({ typeName, methods }) =>
    methods.map(({ name }) => [name, `/${typeName}/${name}`] as const),
  ),
);

type Headers = Readonly<Record<string, string>>;

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Headers;
  readonly body?: string | Buffer;
  readonly agent?: http.Agent;
}

export interface RawReply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
}

/** One request over HTTP/1.1, byte for byte as it is given. A port, or the path of a Unix socket. */
export function rawRequest(at: number | string, request: RawRequest): Promise<RawReply> {
  const { method = "POST", path, headers = {}, body, agent } = request;
  const to = typeof at === "number" ? { host: "127.0.0.1", port: at } : { socketPath: at };
  return new Promise((resolve, reject) => {
    const outgoing = http.request({ ...to, method, path, headers, agent: agent ?? false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("error", reject);
      answer.on("end", () => {
        const all = Buffer.concat(chunks);
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: all, text: all.toString("utf8") });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** An answer of one of the host's procedures in Connect JSON. */
export interface RpcReply {
  readonly status: number;
  /** The Connect code; undefined if the call succeeded. */
  readonly code: string | undefined;
  /** Of the error; empty if the call succeeded. */
  readonly message: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into messages of all kinds
  readonly body: any;
  readonly headers: http.IncomingHttpHeaders;
}

/** Who has shaken hands. */
export interface Identity {
  readonly runtimeId: string;
  readonly token: string;
}

export const identityHeaders = ({ runtimeId, token }: Identity): Headers => ({
  "x-plugin-runtime-id": runtimeId,
  authorization: `Bearer ${token}`,
});

/** Every protocol that the host speaks. */
export type ProtocolName = "Connect" | "Connect over HTTP/2" | "gRPC-Web" | "gRPC";
export const protocolNames: readonly ProtocolName[] = ["Connect", "Connect over HTTP/2", "gRPC-Web", "gRPC"];

/** A host that really listens, spoken to as a plugin in any language would. */
export class ContractHost implements AsyncDisposable {
  readonly platform: Platform;
  /** What the host warned of: nothing, if all went well. */
  readonly warnings: PlatformEvents["warning"][] = [];
  #sessions: Http2SessionManager | undefined;

  private constructor(options: PlatformOptions) {
    this.platform = new Platform(options);
    this.platform.on("warning", (warning) => this.warnings.push(warning));
  }

  static async start(options: PlatformOptions = {}, target: ListenTarget = { port: 0 }): Promise<ContractHost> {
    const host = new ContractHost({ stopBudgetMs: 1_000, ...options });
    await host.platform.listen(target);
    return host;
  }

  get port(): number {
    return Number(new URL(this.platform.url ?? "").port);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  raw(request: RawRequest): Promise<RawReply> {
    return rawRequest(this.port, request);
  }

  /** Calls one of the host's procedures by the name of its method, in Connect JSON. `prefix` stands in front of the path. */
  async rpc(name: string, message: object, headers: Headers = {}, prefix = ""): Promise<RpcReply> {
    const path = `${prefix}${procedures.get(name) ?? name}`;
    const json = { "content-type": "application/json", ...headers };
    return toRpcReply(await this.raw({ path, headers: json, body: JSON.stringify(message) }));
  }

  handshake(message: object = {}, headers: Headers = {}, prefix = ""): Promise<RpcReply> {
    return this.rpc("Handshake", { ...greeting, ...message }, headers, prefix);
  }

  /** A plugin that has an identity. */
  async join(selfId: string, headers: Headers = {}): Promise<Member> {
    const { body, message } = await this.handshake({ selfId, selfVersion: "1.0.0" }, headers);
    if (typeof body.runtimeId !== "string") throw new Error(`no identity for ${selfId}: ${message}`);
    return new Member(this, { runtimeId: body.runtimeId, token: body.runtimeToken });
  }

  /** A typed client of the host itself or, with a path, of what lies there. */
  client<S extends DescService>(
    service: S,
    { protocol = "Connect", path = "", headers = {} }: ClientOptions = {},
  ): Client<S> {
    return createClient(service, this.#transport(protocol, `${this.url}${path}`, headers));
  }

  #transport(protocol: ProtocolName, baseUrl: string, headers: Headers): Transport {
    const addHeaders: Interceptor = (next) => (request) => {
      for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
      return next(request);
    };
    const interceptors = [addHeaders];
    this.#sessions ??= new Http2SessionManager(this.url);
    const sessionManager = this.#sessions;
    switch (protocol) {
      case "Connect":
        return createConnectTransport({ baseUrl, httpVersion: "1.1", interceptors });
      case "Connect over HTTP/2":
        return createConnectTransport({ baseUrl, httpVersion: "2", interceptors, sessionManager });
      case "gRPC-Web":
        return createGrpcWebTransport({ baseUrl, httpVersion: "1.1", interceptors });
      case "gRPC":
        return createGrpcTransport({ baseUrl, interceptors, sessionManager });
    }
  }

  /** Resolves as soon as `condition` holds; it is tried after each change of the host's visible state. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve) => {
      const off = this.platform.on("changed", () => {
        if (!condition()) return;
        off();
        resolve();
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sessions?.abort();
    await this.platform.stop();
  }
}

export interface ClientOptions {
  /** @default "Connect" */
  readonly protocol?: ProtocolName;
  /** In front of the procedure. */
  readonly path?: string;
  readonly headers?: Headers;
}

/** What a registration says; what is left out is that of a logger. */
export interface ServiceToRegister {
  readonly serviceType?: unknown;
  readonly version?: unknown;
  readonly endpointPath?: unknown;
  readonly metadata?: unknown;
}

/** A plugin with an identity, which does by hand what an SDK would do. */
export class Member {
  readonly host: ContractHost;
  readonly runtimeId: string;
  readonly headers: Headers;

  constructor(host: ContractHost, identity: Identity) {
    this.host = host;
    this.runtimeId = identity.runtimeId;
    this.headers = identityHeaders(identity);
  }

  rpc(name: string, message: object): Promise<RpcReply> {
    return this.host.rpc(name, message, this.headers);
  }

  register(service: ServiceToRegister = {}): Promise<RpcReply> {
    return this.rpc("RegisterService", { serviceType: "logger", version: "1.0.0", endpointPath: "/", ...service });
  }

  discover(serviceType: string, minVersion = ""): Promise<RpcReply> {
    return this.rpc("DiscoverService", { serviceType, minVersion });
  }

  report(state: string, reason = ""): Promise<RpcReply> {
    return this.rpc("ReportHealth", { state: `HEALTH_STATE_${state.toUpperCase()}`, reason });
  }

  /** Registers and reports healthy: from now on it is offered. */
  async serve(service: ServiceToRegister = {}): Promise<string> {
    const reply = await this.register(service);
    if (reply.code !== undefined) throw new Error(reply.message);
    await this.report("healthy");
    return reply.body.registrationId;
  }

  /** One call through the router over HTTP/1.1. */
  call(path: string, request: Partial<RawRequest> = {}): Promise<RawReply> {
    return this.host.raw({ path, ...request, headers: { ...this.headers, ...request.headers } });
  }
}

/** Reads a Connect answer in JSON. */
export function toRpcReply({ status, headers, text }: RawReply): RpcReply {
  const body = headers["content-type"]?.startsWith("application/json") === true ? JSON.parse(text) : {};
  const { code, message = "" } = status === 200 ? { code: undefined } : body;
  return { status, code: status === 200 ? undefined : (code ?? "no Connect error"), message, body, headers };
}

/** What a provider saw of one request. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
}

/** A program that is no plugin of ours, over HTTP/1.1 and HTTP/2: remembers what it gets and answers with its name. */
export class PlainProvider implements AsyncDisposable {
  readonly requests: SeenRequest[] = [];
  readonly #server: OnePortServer;
  #answer: (exchange: ServerExchange) => void;

  private constructor(name: string) {
    this.#answer = (exchange) => {
      exchange.respond(200, ["content-type", "text/plain"]);
      exchange.response.write(name);
      exchange.end();
    };
    this.#server = createOnePortServer({ handler: (exchange) => this.#handle(exchange) });
  }

  static async start(name = "provider", target: ListenTarget = { port: 0 }): Promise<PlainProvider> {
    const provider = new PlainProvider(name);
    await provider.#server.listen(target);
    return provider;
  }

  get url(): string {
    const address = this.#server.address();
    return typeof address === "object" ? `http://127.0.0.1:${address.port}` : `unix:${address}`;
  }

  /** Answers in another way from now on; a function that does nothing never answers. */
  answers(answer: (exchange: ServerExchange) => void): void {
    this.#answer = answer;
  }

  async #handle(exchange: ServerExchange): Promise<void> {
    const { method, target, fields } = exchange.head;
    // The host's own questions are not for these tests: it gets to hear that nobody knows them.
    if (target.includes("connectplugin.")) return exchange.respond(404, [], true);
    const chunks: Buffer[] = [];
    for await (const chunk of exchange.body) chunks.push(chunk as Buffer);
    const headers: Record<string, string> = {};
    for (let at = 0; at + 1 < fields.length; at += 2) headers[fields[at] as string] = fields[at + 1] as string;
    const authority = exchange.head.authority;
    this.requests.push({
      method,
      url: target,
      headers: { ...headers, host: authority },
      body: Buffer.concat(chunks).toString("utf8"),
    });
    this.#answer(exchange);
  }

  /** Breaks all connections and takes no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close({ graceMs: 0 });
  }
}
