import http from "node:http";
import type { DescService, MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { DeclarationSchema } from "../../src/gen/connectplugin/v1/common_pb.js";
import { HandshakeService } from "../../src/gen/connectplugin/v1/handshake_pb.js";
import { PluginLifecycle } from "../../src/gen/connectplugin/v1/lifecycle_pb.js";
import { ServiceRegistry } from "../../src/gen/connectplugin/v1/registry_pb.js";
import { Platform, type PlatformEvents, type PlatformOptions, type StepEvent } from "../../src/index.js";
import { Echo } from "./gen/echo/v1/echo_pb.js";

/** The wire contract's cookie. */
const hello = {
  coreProtocolVersion: 1,
  appProtocolVersion: 1,
  magicCookieKey: "CONNECT_PLUGIN",
  magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
};

/** Runtime id and token. */
export interface Identity {
  readonly runtimeId: string;
  readonly token: string;
}

/** A platform that listens on a free port, with what tests need to look at it. */
export interface TestHost extends AsyncDisposable {
  readonly platform: Platform;
  readonly url: string;
  /** `<operation> <step> <state>` of every step so far. */
  readonly steps: string[];
  readonly stepEvents: StepEvent[];
  readonly warnings: string[];
  /** Resolves with the next event of a name that fits. */
  next<Name extends keyof PlatformEvents>(
    name: Name,
    fits?: (event: PlatformEvents[Name]) => boolean,
  ): Promise<PlatformEvents[Name]>;
  /** Resolves when the condition holds, looked at now and after each event. */
  until(condition: () => boolean): Promise<void>;
  /** Shakes hands over the wire, as a program that plays a plugin. */
  handshake(
    selfId: string,
    baseUrl?: string,
    previous?: Identity,
    declaration?: MessageInitShape<typeof DeclarationSchema>,
  ): Promise<Identity>;
  /** A caller with an identity of its own. */
  caller(selfId?: string): Promise<Caller>;
  /** A caller with this identity. */
  callerAs(identity: Identity): Caller;
  /** Posts JSON to a path of the host. */
  post(path: string, body?: unknown, identity?: Identity): Promise<{ readonly status: number; readonly text: string }>;
}

/** Somebody who calls the host and services through it. */
export interface Caller {
  readonly identity: Identity;
  readonly registry: Client<typeof ServiceRegistry>;
  readonly lifecycle: Client<typeof PluginLifecycle>;
  echo(runtimeId: string, type?: string): Client<typeof Echo>;
  /** Who answers a call of `type` to `runtimeId`, or the code with which it fails. */
  providerOf(runtimeId: string, type?: string): Promise<string>;
}

/** Fast enough for tests that wait for what happens, and patient enough for a busy machine. */
const quickOptions: PlatformOptions = {
  health: { intervalMs: 1_000, retryMs: 10, timeoutMs: 1_000, startGraceMs: 200 },
  limits: { connectGraceMs: 200, graceMs: 1_000, healthMs: 5_000, drainMs: 5_000, shutdownMs: 1_000 },
};

export async function startHost(options: PlatformOptions = {}): Promise<TestHost> {
  const platform = new Platform({
    ...quickOptions,
    ...options,
    health: { ...quickOptions.health, ...options.health },
    limits: { ...quickOptions.limits, ...options.limits },
  });
  await platform.listen({ port: 0 });
  const url = platform.url as string;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  const stepEvents: StepEvent[] = [];
  const steps: string[] = [];
  const warnings: string[] = [];
  platform.on("step", (event) => {
    stepEvents.push(event);
    steps.push(`${event.operation} ${event.step} ${event.state}`);
  });
  platform.on("warning", ({ message, error }) => {
    warnings.push(`${message}: ${error instanceof Error ? error.message : String(error)}`);
  });
  const clientOf = <S extends DescService>(service: S, path: string, identity?: Identity): Client<S> =>
    createClient(
      service,
      createConnectTransport({
        httpVersion: "1.1",
        baseUrl: `${url}${path}`,
        nodeOptions: { agent },
        interceptors: [
          (call) => (request) => {
            for (const [name, value] of credentials(identity)) request.header.set(name, value);
            return call(request);
          },
        ],
      }),
    );
  const host: TestHost = {
    platform,
    url,
    steps,
    stepEvents,
    warnings,
    next: (name, fits = () => true) =>
      new Promise((resolve) => {
        const off = platform.on(name, (event) => {
          if (!fits(event)) return;
          off();
          resolve(event);
        });
      }),
    until: (condition) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!condition()) return;
          for (const off of offs) off();
          resolve();
        };
        const names = [
          "changed",
          "step",
          "health",
          "call",
          "plugin-added",
          "plugin-removed",
          "plugin-replaced",
          "supervision",
        ] as const;
        const offs = names.map((name) => platform.on(name, check));
        check();
      }),
    async handshake(selfId, baseUrl = "", previous, declaration) {
      const answer = await clientOf(HandshakeService, "", previous).handshake({
        ...hello,
        selfId,
        selfVersion: "1.0.0",
        baseUrl,
        ...(declaration && { declaration }),
      });
      return { runtimeId: answer.runtimeId, token: answer.runtimeToken };
    },
    caller: async (selfId = "caller") => host.callerAs(await host.handshake(selfId)),
    callerAs: (identity) => ({
      identity,
      registry: clientOf(ServiceRegistry, "", identity),
      lifecycle: clientOf(PluginLifecycle, "", identity),
      echo: (runtimeId, type = "echo") => clientOf(Echo, `/services/${type}/${runtimeId}`, identity),
      async providerOf(runtimeId, type = "echo") {
        const path = `/services/${type}/${runtimeId}/echo.v1.Echo/Say`;
        const { status, text } = await host.post(path, { text: "hi" }, identity);
        const answer = JSON.parse(text) as { provider?: string; code?: string };
        return status === 200 ? (answer.provider ?? "") : (answer.code ?? String(status));
      },
    }),
    post: (path, body = {}, identity) =>
      new Promise((resolve, reject) => {
        const headers = { "content-type": "application/json", ...Object.fromEntries(credentials(identity)) };
        const request = http.request(`${url}${path}`, { method: "POST", agent, headers }, (response) => {
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (chunk: string) => {
            text += chunk;
          });
          response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
          response.on("error", reject);
        });
        request.on("error", reject);
        request.end(JSON.stringify(body));
      }),
    async [Symbol.asyncDispose]() {
      agent.destroy();
      await platform.stop();
    },
  };
  return host;
}

function credentials(identity: Identity | undefined): [string, string][] {
  if (identity === undefined) return [];
  return [
    ["x-plugin-runtime-id", identity.runtimeId],
    ["authorization", `Bearer ${identity.token}`],
  ];
}
