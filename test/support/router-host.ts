import { once } from "node:events";
import http from "node:http";
import http2, { type Http2Server, type ServerHttp2Session } from "node:http2";
import net, { type AddressInfo, type Socket } from "node:net";
import type { HttpServerLimits } from "../../src/http/server-limits.js";
import { InFlight } from "../../src/internal/in-flight.js";
import type { PluginAddress, WireProtocol } from "../../src/model/address.js";
import type { CallEvent } from "../../src/model/call-event.js";
import type { PluginRecord, Registration } from "../../src/model/catalog.js";
import type { Principal } from "../../src/model/principal.js";
import type { Caller } from "../../src/router/decide.js";
import type { RouterOptions } from "../../src/router/options.js";
import { ServiceRouter } from "../../src/router/router.js";
import type { RouteLookup, RouteProvider, RouterView, TrafficObserver } from "../../src/router/router-view.js";
import { startServer, type TestServer } from "./http-server.js";

/** A plugin record with everything that a test does not care about. */
export const pluginRecord = (given: Partial<PluginRecord> = {}): PluginRecord => ({
  runtimeId: "logger-1",
  selfId: "logger",
  selfVersion: "1.0.0",
  origin: "endpoint",
  address: { kind: "http", url: "http://127.0.0.1:1", protocols: undefined },
  requires: [],
  metadata: {},
  phase: { kind: "serving" },
  health: { state: "healthy", cause: "reported", reason: "", since: 0, unavailableDependencies: [] },
  startedAt: 1,
  ...given,
});

export const registrationRecord = (given: Partial<Registration> = {}): Registration => ({
  registrationId: "reg-1",
  runtimeId: "logger-1",
  type: "logger",
  version: "1.0.0",
  path: "/",
  metadata: {},
  registeredAt: 1,
  ...given,
});

export interface FakeProvider {
  plugin: PluginRecord;
  registrations: Registration[];
  readonly inFlight: InFlight;
}

/** A registry of the simplest kind, which a test fills by hand. */
export class FakeView implements RouterView, TrafficObserver {
  readonly providers: FakeProvider[] = [];
  readonly answers: string[] = [];
  readonly failures: string[] = [];
  readonly dependencies: string[] = [];
  forbidden: string | undefined;
  missing: string | undefined;
  waitMs = 0;

  add(plugin: PluginRecord, ...registrations: Registration[]): FakeProvider {
    const own = registrations.length === 0 ? [registrationRecord({ runtimeId: plugin.runtimeId })] : registrations;
    const provider = { plugin, registrations: own, inFlight: new InFlight() };
    this.providers.push(provider);
    return provider;
  }

  pinned(type: string, runtimeId: string): RouteLookup {
    const provider = this.providers.find(({ plugin }) => plugin.runtimeId === runtimeId);
    const found = provider && this.#of(provider, type);
    return found ?? { kind: "not-found", message: `no provider ${runtimeId} of ${type}` };
  }

  choose(type: string, _caller: Principal, exclude: ReadonlySet<string> | undefined): RouteLookup {
    for (const provider of this.providers) {
      const found = this.#of(provider, type);
      const { phase, health, runtimeId } = provider.plugin;
      const takesCalls = phase.kind === "serving" && ["healthy", "degraded"].includes(health.state);
      if (found !== undefined && takesCalls && exclude?.has(runtimeId) !== true) return found;
    }
    if (!this.providers.some((provider) => this.#of(provider, type))) {
      return { kind: "not-found", message: `no provider of ${type}` };
    }
    return { kind: "unavailable", message: `every provider of ${type} is bad`, retryAfterMs: 3_000 };
  }

  undeclared(): string | undefined {
    return this.missing;
  }

  refusal(): string | undefined {
    return this.forbidden;
  }

  takeRate(): number {
    return this.waitMs;
  }

  answered(runtimeId: string): void {
    this.answers.push(runtimeId);
  }

  failed(runtimeId: string, reason: string): void {
    this.failures.push(`${runtimeId}: ${reason}`);
  }

  broke(runtimeId: string, reason: string): void {
    this.failures.push(`${runtimeId}: ${reason}`);
  }

  called(_caller: Principal, serviceType: string): void {
    this.dependencies.push(serviceType);
  }

  #of(provider: RouteProvider, type: string): RouteLookup | undefined {
    const registrations = provider.registrations.filter((registration) => registration.type === type);
    return registrations.length === 0 ? undefined : { kind: "found", provider: { ...provider, registrations } };
  }
}

export const pluginCaller: Principal = { kind: "plugin", runtimeId: "app-1", selfId: "app" };

/** A router behind a real server, and what it told the rest of the host. */
export interface RouterHost extends TestServer {
  readonly view: FakeView;
  readonly router: ServiceRouter;
  readonly events: CallEvent[];
  caller: Caller;
  /** Resolves with the `count`-th event; at once if it has come already. */
  event(count?: number): Promise<CallEvent>;
}

export async function startRouter(
  options: RouterOptions = {},
  exposeAtRoot = false,
  limits: HttpServerLimits = {},
): Promise<RouterHost> {
  const view = new FakeView();
  const events: CallEvent[] = [];
  const waiting = new Set<() => void>();
  const onCall = (event: CallEvent): void => {
    events.push(event);
    for (const wake of waiting) wake();
  };
  const router = new ServiceRouter({ view, traffic: view, options, onCall });
  const server = await startServer({
    limits,
    handler: (exchange) => {
      if (exposeAtRoot && !ServiceRouter.accepts(exchange.head)) {
        router.forwardTo(exchange, { kind: "ingress", user: undefined }, "logger", "any", exchange.head.target);
      } else router.handle(exchange, host.caller);
    },
    onUpgrade: (request, socket, head, connection) => {
      void router.handleUpgrade(request, socket, head, connection, host.caller);
    },
  });
  const host: RouterHost = {
    ...server,
    view,
    router,
    events,
    caller: pluginCaller,
    event: (count = 1) =>
      new Promise((resolve) => {
        const check = (): void => {
          const event = events[count - 1];
          if (event === undefined) return;
          waiting.delete(check);
          resolve(event);
        };
        waiting.add(check);
        check();
      }),
    async [Symbol.asyncDispose]() {
      router.close();
      await server[Symbol.asyncDispose]();
    },
  };
  return host;
}

/** A provider on a free port. */
export interface TestProvider extends AsyncDisposable {
  readonly port: number;
  address(protocols?: readonly WireProtocol[]): PluginAddress;
  readonly connections: () => number;
  /** Resolves when no connection is open; at once if none is. */
  whenDisconnected(): Promise<void>;
}

async function startNet(server: net.Server | http.Server | Http2Server): Promise<TestProvider> {
  const sockets = new Set<Socket>();
  const waiting: (() => void)[] = [];
  let connections = 0;
  server.on("connection", (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.on("close", () => {
      sockets.delete(socket);
      if (sockets.size === 0) for (const wake of waiting.splice(0)) wake();
    });
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    address: (protocols) => ({ kind: "http", url: `http://127.0.0.1:${port}`, protocols }),
    connections: () => connections,
    whenDisconnected: () => new Promise((resolve) => (sockets.size === 0 ? resolve() : waiting.push(resolve))),
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

export const startHttp1Provider = (handler: http.RequestListener): Promise<TestProvider> => {
  const server = http.createServer({ requestTimeout: 0 }, handler);
  return startNet(server);
};

export const startHttp2Provider = (
  handler: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
  settings: http2.Settings = {},
): Promise<TestProvider> => {
  const server = http2.createServer({ settings });
  server.on("session", (session: ServerHttp2Session) => session.on("error", () => {}));
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    handler(stream, headers);
  });
  return startNet(server);
};

export const startRawProvider = (onConnection: (socket: Socket) => void): Promise<TestProvider> =>
  startNet(net.createServer(onConnection));
