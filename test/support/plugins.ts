import { once } from "node:events";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type Deferred, deferred } from "../../src/internal/deferred.js";
import type { HostedModule, RunningModule } from "../../src/link/hosted-module.js";
import {
  type DefinedPlugin,
  definePlugin,
  type PluginContext,
  type ServedPlugin,
  servePlugin,
} from "../../src/plugin/index.js";
import { conditions } from "./conditions.js";
import { echoOnly } from "./echo-plugin.js";
import { Echo } from "./gen/echo/v1/echo_pb.js";

export interface EchoOptions {
  readonly id?: string;
  readonly version?: string;
  /** Service type. */
  readonly type?: string;
  /** What it answers with as `provider`. @default id and version */
  readonly answer?: string;
  /** Service types that it needs; those with `?` at the end are optional, `@` comes before a range. */
  readonly requires?: readonly string[];
  /** Runs in `setup`. */
  readonly onSetup?: (plugin: PluginContext) => void | Promise<void>;
  /** Runs before each answer of `Say`. */
  readonly onSay?: () => void | Promise<void>;
}

/** An echo plugin of the SDK. */
export function echoPlugin({
  id = "echo",
  version = "1.0.0",
  type = "echo",
  answer = `${id}@${version}`,
  requires = [],
  onSetup,
  onSay,
}: EchoOptions = {}): DefinedPlugin {
  return definePlugin({
    id,
    version,
    provides: { [type]: { service: Echo } },
    requires: Object.fromEntries(requires.map(requirement)),
    async setup(plugin) {
      await onSetup?.(plugin as unknown as PluginContext);
      const echo = echoOnly(answer);
      return {
        [type]: {
          ...echo,
          async say(request: { text: string }) {
            await onSay?.();
            return { text: request.text, provider: answer };
          },
        },
      } as never;
    },
  });
}

function requirement(text: string): [string, { service: typeof Echo; minVersion: string; required: boolean }] {
  const [type = "", minVersion = ""] = text.replace(/\?$/, "").split("@");
  return [type, { service: Echo, minVersion, required: !text.endsWith("?") }];
}

/** The same plugin as a program on a free port that waits to be managed. */
export const startEndpoint = (options?: EchoOptions): Promise<ServedPlugin> =>
  servePlugin(echoPlugin(options), { env: {}, graceMs: 500 });

/** A module that dies when it is told to, as if its code had thrown. */
export interface CrashableModule extends HostedModule {
  readonly running: number;
  /** Ends every running instance. */
  crash(reason?: string): void;
}

export function crashable(module: HostedModule): CrashableModule {
  const instances = new Set<Deferred<void>>();
  /** Told to crash before it ran: the next instance does as soon as it runs. */
  let doomed: Error | undefined;
  return {
    id: module.id,
    version: module.version,
    declares: module.declares,
    get running() {
      return instances.size;
    },
    crash(reason = "it crashed") {
      if (instances.size === 0) doomed = new Error(reason);
      for (const crashed of instances) crashed.reject(new Error(reason));
    },
    async start(environment): Promise<RunningModule> {
      const inner = await module.start(environment);
      const crashed = deferred();
      instances.add(crashed);
      crashed.promise.catch(() => void inner.stop(0));
      if (doomed !== undefined) crashed.reject(doomed);
      doomed = undefined;
      return {
        connect: () => inner.connect(),
        ended: Promise.race([crashed.promise, inner.ended]),
        async stop(graceMs) {
          await inner.stop(graceMs);
          instances.delete(crashed);
        },
      };
    },
  };
}

/** Procedures of a plugin that the host calls. */
export type Procedure = "GetPluginInfo" | "SetRuntimeIdentity" | "GetHealth" | "Shutdown";

/** An answer: an object as JSON, a text as it is, a number as HTTP status. */
export type Reply = object | string | number;

/** Never answers. */
export const stall = (): Promise<never> => new Promise(() => {});

/** A hand-written plugin that answers as it is told. */
export interface FakePlugin extends AsyncDisposable {
  readonly url: string;
  /** Names of the calls so far; services by their path. */
  readonly received: string[];
  /** The identities that it was given. */
  readonly identities: { readonly runtimeId: string; readonly runtimeToken: string; readonly hostUrl: string }[];
  readonly openConnections: number;
  /** Resolves when no connection is open. */
  untilQuiet(): Promise<void>;
  /** Resolves when a call of this name has come. */
  untilCalled(name: string): Promise<void>;
}

export interface FakePluginOptions {
  readonly id?: string;
  readonly version?: string;
  readonly type?: string;
  readonly answer?: string;
  readonly requires?: readonly string[];
  readonly replies?: Partial<Record<Procedure, (request: Record<string, unknown>) => Reply | Promise<Reply>>>;
}

export async function startFakePlugin(options: FakePluginOptions = {}): Promise<FakePlugin> {
  const { id = "echo", version = "1.0.0", type = "echo", answer = `${id}@${version}`, requires = [] } = options;
  const received: string[] = [];
  const identities: FakePlugin["identities"] = [];
  const sockets = new Set<Socket>();
  const { look, until } = conditions();
  const replies: NonNullable<FakePluginOptions["replies"]> = {
    GetPluginInfo: () => ({
      selfId: id,
      selfVersion: version,
      provides: [{ type, version, path: "/echo.v1.Echo/" }],
      requires: requires.map((text) => {
        const [name, { minVersion, required }] = requirement(text);
        return { type: name, minVersion, requiredForStartup: required };
      }),
    }),
    SetRuntimeIdentity: () => ({ acknowledged: true }),
    GetHealth: () => ({ state: "HEALTH_STATE_HEALTHY" }),
    Shutdown: () => ({ acknowledged: true }),
    ...options.replies,
  };
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    const text = Buffer.concat(chunks).toString();
    // A plugin of another test may still look for its host where this one listens now. It speaks binary.
    if (text !== "" && !text.startsWith("{")) return void response.writeHead(415).end();
    const body = JSON.parse(text || "{}") as Record<string, never>;
    const path = request.url ?? "";
    const name = /^\/connectplugin\.[^/]+\/(.+)$/.exec(path)?.[1] ?? path;
    received.push(name);
    if (name === "SetRuntimeIdentity") identities.push(body as never);
    look();
    const echo = { text: body.text, provider: answer };
    const reply = name in replies ? await replies[name as Procedure]?.(body) : name === path ? echo : 404;
    const isPlain = typeof reply === "number" || typeof reply === "string";
    response.writeHead(typeof reply === "number" ? reply : 200, {
      "content-type": isPlain ? "text/plain" : "application/json",
    });
    response.end(typeof reply === "string" ? reply : typeof reply === "number" ? "" : JSON.stringify(reply));
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => {
      sockets.delete(socket);
      look();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    identities,
    get openConnections() {
      return sockets.size;
    },
    untilQuiet: () => until(() => sockets.size === 0),
    untilCalled: (name) => until(() => received.includes(name)),
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
