import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { Host } from "../../../src/host.js";
import { endStreamsWithReader } from "../../../src/http/connect-client.js";
import { Platform } from "../../../src/index.js";
import type { HostedModule, RunningModule } from "../../../src/link/hosted-module.js";
import type { PluginLauncher } from "../../../src/model/launch.js";
import { resolveOptions } from "../../../src/options.js";
import { type DefinedPlugin, definePlugin, servePlugin } from "../../../src/plugin/index.js";
import { Echo } from "../../support/gen/echo/v1/echo_pb.js";
import { startHost } from "../../support/host.js";
import type { EchoImplementation, OpenTransport, TransportUnderTest } from "./transport-under-test.js";

type EchoClient = TransportUnderTest["client"];

const providerOf = (implementation: EchoImplementation): DefinedPlugin =>
  definePlugin({
    id: "provider",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    setup: () => ({ echo: implementation as never }),
  });

/** A plugin that does nothing but give its client away. */
function callerPlugin(give: (client: EchoClient) => void): DefinedPlugin {
  return definePlugin({
    id: "caller",
    version: "1.0.0",
    requires: { echo: { service: Echo } },
    setup: (plugin) => give(plugin.client("echo")),
  });
}

/** A module whose running instance can be ended from outside. */
function killable(module: HostedModule, withServices: boolean): { module: HostedModule; kill(): Promise<void> } {
  let running: RunningModule | undefined;
  return {
    module: {
      id: module.id,
      version: module.version,
      declares: module.declares,
      async start(environment) {
        const started = await module.start(environment);
        running = started;
        return {
          connect: () => started.connect(),
          ended: started.ended,
          stop: (graceMs) => started.stop(graceMs),
          services: withServices ? started.services : undefined,
        };
      },
    },
    kill: () => running?.stop(0) ?? Promise.resolve(),
  };
}

const modules =
  (withServices: boolean): OpenTransport =>
  async (implementation) => {
    const platform = new Platform();
    const provider = killable(providerOf(implementation), withServices);
    let client: EchoClient | undefined;
    const caller = callerPlugin((given) => {
      client = given;
    });
    await platform.addPlugins([{ module: provider.module }, { module: caller }]);
    return {
      client: client as EchoClient,
      caller: "caller",
      killProvider: provider.kill,
      [Symbol.asyncDispose]: () => platform.stop(),
    };
  };

/** Both plugins in the host's process. No port is open. */
export const inProcess = modules(true);

/** Both plugins in the host's process, but calls go over connections in memory. */
export const inMemory = modules(false);

/** Two programs of the SDK: HTTP/1.1, but for streams in both directions. */
export const overHttp1: OpenTransport = async (implementation) => {
  const host = await startHost();
  const provider = await servePlugin(providerOf(implementation), { env: {}, graceMs: 500, link: "off" });
  await host.platform.addPlugin({ endpoint: provider.url });
  let client: EchoClient | undefined;
  const plugin = callerPlugin((given) => {
    client = given;
  });
  const caller = await servePlugin(plugin, { env: {}, hostUrl: host.url, graceMs: 500, link: "off" });
  return {
    client: client as EchoClient,
    caller: "caller",
    killProvider: () => provider.stop({ graceMs: 0 }),
    async [Symbol.asyncDispose]() {
      await caller.stop({ graceMs: 0 });
      await provider.stop({ graceMs: 0 });
      await host[Symbol.asyncDispose]();
    },
  };
};

/** A program with Connect's own client over HTTP/2. */
export const overHttp2: OpenTransport = async (implementation) => {
  const host = await startHost();
  const provider = await servePlugin(providerOf(implementation), { env: {}, graceMs: 500, link: "off" });
  await host.platform.addPlugin({ endpoint: provider.url });
  const { runtimeId, token } = await host.handshake("caller");
  const transport = createConnectTransport({
    httpVersion: "2",
    baseUrl: `${host.url}/services/echo/any`,
    interceptors: [
      (next) => (request) => {
        request.header.set("x-plugin-runtime-id", runtimeId);
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return {
    client: endStreamsWithReader(Echo, createClient(Echo, transport)),
    caller: "caller",
    killProvider: () => provider.stop({ graceMs: 0 }),
    async [Symbol.asyncDispose]() {
      await provider.stop({ graceMs: 0 });
      await host[Symbol.asyncDispose]();
    },
  };
};

/** Two programs of the SDK without ports, on links to the host's port or its Unix socket. */
export const overLink =
  (at: "tcp" | "unix"): OpenTransport =>
  async (implementation) => {
    const directory = await mkdtemp(join(tmpdir(), "links-"));
    const platform = new Platform();
    await platform.listen(at === "unix" ? { path: join(directory, "host.sock") } : { port: 0 });
    const settings = { env: {}, hostUrl: platform.url as string, listen: "never", graceMs: 500 } as const;
    const provider = await servePlugin(providerOf(implementation), settings);
    let client: EchoClient | undefined;
    const plugin = callerPlugin((given) => {
      client = given;
    });
    const caller = await servePlugin(plugin, settings);
    return {
      client: client as EchoClient,
      caller: "caller",
      killProvider: () => provider.stop({ graceMs: 0 }),
      async [Symbol.asyncDispose]() {
        await caller.stop({ graceMs: 0 });
        await provider.stop({ graceMs: 0 });
        await platform.stop();
        await rm(directory, { recursive: true, force: true });
      },
    };
  };

/** Runs a plugin as a worker thread does, but in this thread, so that the tests' own code runs in it. */
function behindPort(module: DefinedPlugin, host: Host): PluginLauncher & { kill(): Promise<void> } {
  let stop: (graceMs: number) => Promise<void> = async () => {};
  return {
    origin: "worker",
    address: undefined,
    declares: undefined,
    async launch() {
      const { port1, port2 } = new MessageChannel();
      const link = host.sources.workers.openLink(port1);
      const running = await module.startInWorker({ port: port2 });
      stop = (graceMs) => running.stop(graceMs);
      await link.opened;
      return {
        origin: "worker",
        address: { kind: "worker", launchId: link.launchId },
        ended: new Promise(() => {}),
        belongsTo: (plugin) => link.belongsTo(plugin),
        stop: (graceMs) => stop(graceMs),
      };
    },
    kill: () => stop(0),
  };
}

/** Two plugins behind links on MessagePorts, as in worker threads. No port is open. */
export const overMessagePorts: OpenTransport = async (implementation) => {
  const host = new Host(resolveOptions({}));
  let client: EchoClient | undefined;
  const provider = behindPort(providerOf(implementation), host);
  const caller = behindPort(
    callerPlugin((given) => {
      client = given;
    }),
    host,
  );
  for (const launcher of [provider, caller]) {
    await host.lifecycle.add({ launcher, declares: undefined, limits: host.sources.limits }, undefined);
  }
  return {
    client: client as EchoClient,
    caller: "caller",
    killProvider: () => provider.kill(),
    [Symbol.asyncDispose]: () => host.stop(() => {}),
  };
};

/** A plugin in the host's process calls a program of the SDK that has no port, but a link to the host's port. */
export const inProcessToLink: OpenTransport = async (implementation) => {
  const platform = new Platform();
  await platform.listen({ port: 0 });
  const settings = { env: {}, hostUrl: platform.url as string, listen: "never", graceMs: 500 } as const;
  const provider = await servePlugin(providerOf(implementation), settings);
  let client: EchoClient | undefined;
  const module = callerPlugin((given) => {
    client = given;
  });
  await platform.addPlugin({ module });
  return {
    client: client as EchoClient,
    caller: "caller",
    killProvider: () => provider.stop({ graceMs: 0 }),
    async [Symbol.asyncDispose]() {
      await provider.stop({ graceMs: 0 });
      await platform.stop();
    },
  };
};
