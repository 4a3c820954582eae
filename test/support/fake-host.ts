import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { DescService, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, createClient, type HandlerContext } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { HandshakeService } from "../../src/gen/connectplugin/v1/handshake_pb.js";
import { PluginIdentity } from "../../src/gen/connectplugin/v1/identity_pb.js";
import { PluginLifecycle } from "../../src/gen/connectplugin/v1/lifecycle_pb.js";
import { ServiceRegistry, ServiceState } from "../../src/gen/connectplugin/v1/registry_pb.js";
import { connectHandler } from "../../src/http/connect-handler.js";
import type { ExchangeHandler, ServerExchange } from "../../src/http/exchange.js";
import { connectInMemory } from "../../src/http/memory-connection.js";
import { mountedExchange } from "../../src/http/mounted-exchange.js";
import { createOnePortServer, type OnePortServerOptions } from "../../src/http/one-port-server.js";
import { systemClock } from "../../src/internal/clock.js";
import { LatestChannel } from "../../src/internal/latest-channel.js";
import { forwardCall } from "../../src/link/forward-call.js";
import { closeCode } from "../../src/link/frame.js";
import { hostFeatures, linkFeature } from "../../src/link/host-features.js";
import type { HostedModule, RunningModule } from "../../src/link/hosted-module.js";
import { acceptLink } from "../../src/link/link-opening.js";
import { LinkSession } from "../../src/link/link-session.js";
import type { LinkStream, LinkStreamHandler } from "../../src/link/link-stream.js";
import { routerMethods } from "../../src/link/router-methods.js";
import { serveLinkCalls } from "../../src/link/serve-link-calls.js";
import { forwardExchange } from "./forward-exchange.js";

/** One call that came to the host, before it was answered. */
export interface RecordedCall {
  /** The last part of the path: `Handshake`, `RegisterService`; for routed calls the whole path. */
  readonly name: string;
  readonly path: string;
  readonly httpVersion: string;
  readonly runtimeId: string | undefined;
  readonly authorization: string | undefined;
  readonly contentLength?: string | undefined;
  /** Whether it came over a link. */
  readonly overLink?: boolean;
  /** The request's message; undefined for routed calls. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into messages of all kinds
  readonly message: any;
}

export interface FakeHostOptions {
  /** Like the Go library: no features, HTTP/1.1 only, an identity that it gave to a plugin is no good for its router. */
  readonly goLike?: boolean;
  readonly cookieValue?: string;
  /** A join token without which there is no identity. */
  readonly joinToken?: string;
  /** Takes links; `refuse` answers those who dial with this status, though links are announced. */
  readonly links?: true | { readonly refuse: number };
  /** Does not record routed calls over links, of which there may be many. */
  readonly forgetsCalls?: boolean;
}

interface Registration {
  readonly registrationId: string;
  readonly runtimeId: string;
  readonly type: string;
  readonly version: string;
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
}

interface Watcher {
  readonly type: string;
  readonly channel: LatestChannel<"state", { state: ServiceState; reason: string }>;
}

/** A host in the test's process that follows the wire contract and remembers every call. */
export class FakeHost implements AsyncDisposable {
  readonly calls: RecordedCall[] = [];
  readonly registrations = new Map<string, Registration>();
  /** Runtime id to token. */
  readonly identities = new Map<string, string>();
  /** Tokens that were got by handshake. */
  readonly handshakeTokens = new Set<string>();
  readonly health = new Map<string, { state: number; reason: string; unavailableDependencies: readonly string[] }>();
  /** Connections in memory to plugins that have no URL, by runtime id. */
  readonly modules = new Map<string, () => Duplex>();
  readonly #options: FakeHostOptions;
  readonly #directory: string;
  readonly #watchers = new Set<Watcher>();
  readonly #waiting = new Set<() => void>();
  /** Ends of links, by runtime id. */
  readonly links = new Map<string, LinkSession>();
  /** Of each link that was dialled. */
  readonly dialled: { readonly target: string; readonly runtimeId: string }[] = [];
  #nextId = 0;
  #open: { server: ReturnType<typeof createOnePortServer>; http1: http.Server | undefined } | undefined;

  private constructor(directory: string, options: FakeHostOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  /** Not listening yet; `url` is known all the same. */
  static async create(options: FakeHostOptions = {}): Promise<FakeHost> {
    return new FakeHost(await mkdtemp(join(tmpdir(), "fake-host-")), options);
  }

  static async start(options: FakeHostOptions = {}): Promise<FakeHost> {
    const host = await FakeHost.create(options);
    await host.listen();
    return host;
  }

  /** A Unix socket, so that a host that comes back is at the same place, whoever else opens ports. */
  get url(): string {
    return `unix:${join(this.#directory, "host.sock")}`;
  }

  /** The same over TCP; only good after `listenTcp`. */
  tcpUrl = "";

  async listen(): Promise<void> {
    const handler = this.#handler();
    const server = createOnePortServer({ handler, ...this.#upgrades() });
    let http1: http.Server | undefined;
    const path = join(this.#directory, "host.sock");
    if (this.#options.goLike === true) {
      http1 = http.createServer((req, res) => void handler(mountedExchange(req, res)));
      await new Promise<void>((resolve) => http1?.listen(path, resolve));
    } else {
      await server.listen({ path });
    }
    this.#open = { server, http1 };
  }

  /** Listens on a TCP port instead. */
  async listenTcp(): Promise<string> {
    const server = createOnePortServer({ handler: this.#handler(), ...this.#upgrades() });
    await server.listen({ port: 0 });
    this.#open = { server, http1: undefined };
    this.tcpUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return this.tcpUrl;
  }

  /** A connection in memory to this host. */
  connect(): Duplex {
    const [ours, theirs] = connectInMemory();
    this.#open?.server.accept(ours, { transport: "memory" });
    return theirs;
  }

  get openConnections(): number {
    return this.#open?.server.openConnections ?? 0;
  }

  /** Goes away like a killed process: connections break. */
  async kill(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    open?.http1?.closeAllConnections();
    await new Promise<void>((resolve) => (open?.http1 === undefined ? resolve() : open.http1.close(() => resolve())));
    for (const session of this.links.values()) session.close("killed", closeCode.internal);
    await open?.server.close({ graceMs: 0 });
  }

  #upgrades(): Partial<OnePortServerOptions> {
    const { links } = this.#options;
    if (links === undefined) return {};
    const services = routerMethods((router) => this.#routes(router, ""));
    const find = (path: string) => services.get(path);
    const take = serveLinkCalls({
      services: { find },
      ready: () => undefined,
      isHttpOnly: () => false,
      exchange: () => {},
      onError: () => {},
    });
    return {
      onUpgrade: (request, socket, head) => {
        const runtimeId = String(request.headers["x-plugin-runtime-id"]);
        const token = request.headers.authorization?.replace("Bearer ", "");
        this.dialled.push({ target: request.url ?? "", runtimeId });
        setImmediate(() => this.#happened());
        const status = links !== true ? links.refuse : this.identities.get(runtimeId) === token ? undefined : 401;
        if (status !== undefined) {
          return void socket.end(`HTTP/1.1 ${status} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
        }
        void acceptLink(request, socket, head).then((transport) => {
          const session: LinkSession = new LinkSession(transport, {
            role: "acceptor",
            clock: systemClock,
            onCall: (stream) => this.#linkCall(stream, runtimeId, token ?? "", take),
            onReady: () => {
              const before = this.links.get(runtimeId);
              if (before?.state === "open") before.close("another", closeCode.replaced);
              this.links.set(runtimeId, session);
              this.#happened();
            },
            onClose: () => {
              if (this.links.get(runtimeId) === session) this.links.delete(runtimeId);
              this.#happened();
            },
          });
        });
      },
    };
  }

  #linkCall(
    stream: LinkStream,
    runtimeId: string,
    token: string,
    take: (stream: LinkStream) => LinkStreamHandler,
  ): LinkStreamHandler {
    const { path, fields } = stream.head;
    if (!path.startsWith("/services/")) {
      const identity = ["x-plugin-runtime-id", runtimeId, "authorization", `Bearer ${token}`, "x-over-link", "1"];
      Object.assign(stream, { head: { ...stream.head, fields: [...fields, ...identity] } });
      return take(stream);
    }
    if (this.#options.forgetsCalls !== true) {
      this.calls.push({
        name: path,
        path,
        httpVersion: "",
        runtimeId,
        authorization: undefined,
        message: undefined,
        overLink: true,
      });
      setImmediate(() => this.#happened());
    }
    const [, , type = "", id = "", ...rest] = path.split("/");
    const provider = [...this.registrations.values()].find(
      (registration) => registration.type === type && (id === "any" || registration.runtimeId === id),
    );
    const session = this.links.get(provider?.runtimeId ?? "");
    if (provider === undefined || session === undefined) {
      const message = `no provider of ${type}`;
      stream.end({ code: Code.Unavailable, message, details: undefined, trailers: ["retry-after", "1"] });
      return { onData() {}, onEnd() {}, onReset() {} };
    }
    const caller = runtimeId.replace(/-\d+$/, "");
    const told = ["x-plugin-caller-id", runtimeId, "x-plugin-caller-self-id", caller, "x-plugin-service", type];
    const kept = fields.filter((_, index) => !fields[index - (index % 2)]?.startsWith("x-plugin-"));
    return forwardCall(stream, session, {
      ...stream.head,
      path: provider.path + rest.join("/"),
      fields: [...kept, ...told, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    });
  }

  /** Forgets all that a host in memory forgets when it ends. */
  forget(): void {
    this.identities.clear();
    this.handshakeTokens.clear();
    this.registrations.clear();
    this.health.clear();
  }

  /** Resolves with the calls named `name` as soon as there are `count` of them. */
  async until(name: string, count = 1): Promise<RecordedCall[]> {
    await this.untilTrue(() => this.named(name).length >= count);
    return this.named(name);
  }

  named(name: string): RecordedCall[] {
    return this.calls.filter((call) => call.name === name);
  }

  /** Resolves when `condition` holds; it is tried after each thing that happens at this host. */
  untilTrue(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const tryAgain = (): void => {
        if (!condition()) return;
        this.#waiting.delete(tryAgain);
        resolve();
      };
      this.#waiting.add(tryAgain);
    });
  }

  /** Tells all watchers of `type`. */
  tell(type: string, state: "AVAILABLE" | "DEGRADED" | "UNAVAILABLE", reason = ""): void {
    for (const watcher of this.#watchers) {
      if (watcher.type === type) watcher.channel.put("state", { state: ServiceState[state], reason });
    }
  }

  /** Ends all watches in order. */
  endWatches(): void {
    for (const { channel } of this.#watchers) channel.close();
  }

  get openWatches(): number {
    return this.#watchers.size;
  }

  /** Gives an identity to a managed plugin, as a host does after it has asked for its name. */
  async manage(
    pluginUrl: string,
    given: { runtimeId?: string; token?: string; hostUrl?: string } = {},
  ): Promise<string> {
    const client = createClient(PluginIdentity, createConnectTransport({ baseUrl: pluginUrl, httpVersion: "1.1" }));
    const { selfId } = await client.getPluginInfo({});
    const runtimeId = given.runtimeId ?? `${selfId}-${++this.#nextId}`;
    const runtimeToken = given.token ?? `token-${++this.#nextId}`;
    this.identities.set(runtimeId, runtimeToken);
    await client.setRuntimeIdentity({
      runtimeId,
      runtimeToken,
      hostUrl: given.hostUrl ?? this.url,
      hostFeatures: this.features,
    });
    return runtimeId;
  }

  /** Runs a plugin in this process and gives it an identity. */
  async addModule(module: HostedModule): Promise<RunningModule & { readonly runtimeId: string }> {
    const hostUrl = "http://host.invalid";
    const running = await module.start({
      hostUrl,
      connectHost: () => this.connect(),
      signal: new AbortController().signal,
    });
    const url = "http://module.invalid";
    const nodeOptions = { createConnection: () => running.connect() as Socket };
    const transport = createConnectTransport({ baseUrl: url, httpVersion: "1.1", nodeOptions });
    const runtimeId = `${module.id}-${++this.#nextId}`;
    const runtimeToken = `token-${++this.#nextId}`;
    this.identities.set(runtimeId, runtimeToken);
    this.modules.set(runtimeId, () => running.connect());
    await createClient(PluginIdentity, transport).setRuntimeIdentity({
      runtimeId,
      runtimeToken,
      hostUrl,
      hostFeatures: this.features,
    });
    return { ...running, runtimeId };
  }

  get features(): string[] {
    const own = this.#options.goLike === true ? [] : Object.values(hostFeatures);
    return this.#options.links === undefined ? own : [...own, linkFeature];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }

  #happened(): void {
    for (const tryAgain of [...this.#waiting]) tryAgain();
  }

  #record<Desc extends DescService>(
    service: Desc,
    context: HandlerContext,
    message: MessageShape<Desc["methods"][number]["input"]>,
    extra: Partial<RecordedCall> = {},
  ): RecordedCall {
    const call: RecordedCall = {
      name: context.method.name,
      path: `/${service.typeName}/${context.method.name}`,
      httpVersion: "",
      runtimeId: context.requestHeader.get("x-plugin-runtime-id") ?? undefined,
      authorization: context.requestHeader.get("authorization") ?? undefined,
      contentLength: context.requestHeader.get("content-length") ?? undefined,
      overLink: context.requestHeader.has("x-over-link"),
      message,
      ...extra,
    };
    this.calls.push(call);
    // After the answer's work, so that who waits sees what the call has done.
    setImmediate(() => this.#happened());
    return call;
  }

  #authenticate(context: HandlerContext): string {
    const runtimeId = context.requestHeader.get("x-plugin-runtime-id") ?? "";
    const token = this.identities.get(runtimeId);
    if (token === undefined || context.requestHeader.get("authorization") !== `Bearer ${token}`) {
      throw new ConnectError("no or wrong identity", Code.Unauthenticated);
    }
    return runtimeId;
  }

  #handler(): ExchangeHandler {
    const handlerFor = (prefix: string) => this.#rpc(prefix);
    const handlers = new Map<string, ReturnType<typeof connectHandler>>();
    return (exchange) => {
      const prefix = /^\/_(?:join|launch)\/[^/]+/.exec(exchange.head.target)?.[0] ?? "";
      const handler = handlers.get(prefix) ?? handlerFor(prefix);
      handlers.set(prefix, handler);
      const handled = handler.handle(exchange);
      if (handled !== false) return handled.then(() => {});
      return this.#route(exchange, exchange.head.target.slice(prefix.length));
    };
  }

  #rpc(prefix: string): ReturnType<typeof connectHandler> {
    return connectHandler({ requestPathPrefix: prefix, routes: (router) => this.#routes(router, prefix) });
  }

  #routes(router: ConnectRouter, prefix: string): void {
    const { cookieValue = "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e", joinToken } = this.#options;
    const hostFeatureNames = this.features;
    router.service(HandshakeService, {
      handshake: (message, context) => {
        const call = this.#record(HandshakeService, context, message, { path: `${prefix}/Handshake` });
        if (message.magicCookieKey !== "CONNECT_PLUGIN" || message.magicCookieValue !== cookieValue) {
          throw new ConnectError("magic cookie does not match", Code.InvalidArgument);
        }
        if (message.appProtocolVersion !== 1) throw new ConnectError("app version", Code.FailedPrecondition);
        let runtimeId = call.runtimeId;
        if (runtimeId !== undefined) this.#authenticate(context);
        else if (joinToken !== undefined && call.authorization !== `Bearer ${joinToken}`) {
          throw new ConnectError("a join token is needed", Code.Unauthenticated);
        }
        runtimeId ??= `${message.selfId}-${++this.#nextId}`;
        const runtimeToken = `token-${++this.#nextId}`;
        this.identities.set(runtimeId, runtimeToken);
        this.handshakeTokens.add(runtimeToken);
        return {
          coreProtocolVersion: 1,
          appProtocolVersion: 1,
          runtimeId,
          runtimeToken,
          hostFeatures: hostFeatureNames,
        };
      },
    });
    router.service(ServiceRegistry, {
      registerService: (message, context) => {
        this.#record(ServiceRegistry, context, message);
        const runtimeId = this.#authenticate(context);
        const registrationId = `reg-${++this.#nextId}`;
        const { serviceType: type, version, endpointPath: path, metadata } = message;
        this.registrations.set(registrationId, { registrationId, runtimeId, type, version, path, metadata });
        this.tell(type, "AVAILABLE");
        return { registrationId };
      },
      unregisterService: (message, context) => {
        this.#record(ServiceRegistry, context, message);
        this.#authenticate(context);
        const type = this.registrations.get(message.registrationId)?.type ?? "";
        this.registrations.delete(message.registrationId);
        if (this.#provider(type) === undefined) this.tell(type, "UNAVAILABLE", `no provider of ${type}`);
        return {};
      },
      discoverService: (message, context) => {
        this.#record(ServiceRegistry, context, message);
        this.#authenticate(context);
        const found = this.#provider(message.serviceType);
        if (found === undefined) throw new ConnectError(`no provider of ${message.serviceType}`, Code.NotFound);
        const endpointUrl = `/services/${found.type}/${found.runtimeId}`;
        return {
          endpoint: { providerId: found.runtimeId, version: found.version, endpointUrl },
          singleProvider: true,
        };
      },
      watchService: (message, context) => this.#watch(message.serviceType, context, message),
    });
    router.service(PluginLifecycle, {
      reportHealth: (message, context) => {
        this.#record(PluginLifecycle, context, message);
        this.health.set(this.#authenticate(context), message);
        return {};
      },
    });
  }

  async *#watch(
    type: string,
    context: HandlerContext,
    message: MessageShape<typeof ServiceRegistry.method.watchService.input>,
  ) {
    this.#record(ServiceRegistry, context, message);
    this.#authenticate(context);
    const channel: Watcher["channel"] = new LatestChannel();
    const watcher = { type, channel };
    this.#watchers.add(watcher);
    const end = (): void => channel.abort();
    context.signal.addEventListener("abort", end, { once: true });
    const state = this.#provider(type) === undefined ? ServiceState.UNAVAILABLE : ServiceState.AVAILABLE;
    channel.put("state", { state, reason: "" });
    this.#happened();
    try {
      for await (const event of channel) yield { serviceType: type, ...event };
    } finally {
      this.#watchers.delete(watcher);
      this.#happened();
    }
  }

  #provider(type: string): Registration | undefined {
    return [...this.registrations.values()].find((registration) => registration.type === type);
  }

  #route(exchange: ServerExchange, path: string): void {
    const { head } = exchange;
    const authorization = head.header("authorization");
    const runtimeId = head.header("x-plugin-runtime-id");
    const token = authorization?.replace("Bearer ", "") ?? "";
    this.calls.push({
      name: path,
      path: head.target,
      httpVersion: head.httpVersion,
      runtimeId,
      authorization,
      message: undefined,
    });
    setImmediate(() => this.#happened());
    const [, , type = "", id = "", ...rest] = path.split("/");
    const fail = (status: number, code: string): void => {
      const body = Buffer.from(JSON.stringify({ code }));
      exchange.respond(status, ["content-type", "application/json", "content-length", String(body.length)]);
      exchange.response.write(body);
      exchange.end();
    };
    if (this.identities.get(runtimeId ?? "") !== token) return fail(401, "unauthenticated");
    if (this.#options.goLike === true && !this.handshakeTokens.has(token)) return fail(401, "unauthenticated");
    if (this.#options.goLike === true && id === "any") return fail(404, "not_found");
    const provider = [...this.registrations.values()].find(
      (registration) => registration.type === type && (id === "any" || registration.runtimeId === id),
    );
    if (provider === undefined) return fail(id === "any" ? 503 : 404, id === "any" ? "unavailable" : "not_found");
    const base = provider.metadata.base_url;
    const module = this.modules.get(provider.runtimeId);
    if (base === undefined && module === undefined) return fail(503, "unavailable");
    forwardExchange(exchange, base ?? "http://module.invalid", module, provider.path + rest.join("/"), () =>
      fail(502, "unavailable"),
    );
  }
}
