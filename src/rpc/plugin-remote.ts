import http from "node:http";
import https from "node:https";
import net from "node:net";
import type { ConnectionOptions } from "node:tls";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { PluginHostError } from "../errors.js";
import { PluginControl } from "../gen/connectplugin/v1/control_pb.js";
import { HandshakeService } from "../gen/connectplugin/v1/handshake_pb.js";
import { PluginIdentity } from "../gen/connectplugin/v1/identity_pb.js";
import type { PluginRemote } from "../lifecycle/plugin-remote.js";
import { hostFeatures } from "../link/host-features.js";
import type { PluginAddress } from "../model/address.js";
import { shown } from "../model/limits.js";
import { tlsTrouble } from "../router/dial-failure.js";
import { isHealthPath } from "./health-path.js";
import { jsonTransport } from "./json-transport.js";
import { speaksHttp2Only } from "./speaks-http2-only.js";
import { fromPluginInfo, servicesOfHandshake } from "./wire-declaration.js";
import { fromWireHealth } from "./wire-health.js";

/** What the host says of itself when it handshakes with a plugin. */
export interface RemoteOptions {
  readonly magicCookieKey: string;
  readonly magicCookieValue: string;
  readonly appProtocolVersion: number;
  /** For plugins over `https:`: authorities, the host's own certificate. @default Node's */
  readonly tls?: ConnectionOptions;
}

/** Largest answer that a plugin may give about itself. */
const maxAnswerBytes = 4 * 1024 * 1024;

type Reachable = Exclude<PluginAddress, { kind: "external" }>;

/**
 * Speaks to a plugin as the wire contract asks: Connect, JSON, HTTP/1.1, so that a plugin needs no more than an HTTP server
 * and JSON. A connection is used for one call: these calls are rare, and a kept one may just be closing.
 */
export function openPluginRemote(address: Reachable, options: RemoteOptions): PluginRemote {
  const base = address.kind === "http" ? address.url : "http://plugin.invalid";
  const request = requestOptions(address, options.tls);
  const overHttp1 = () => clientsOver(jsonTransport({ baseUrl: base, request, readMaxBytes: maxAnswerBytes }));
  const overHttp2 = () =>
    clientsOver(
      createConnectTransport({
        httpVersion: "2",
        baseUrl: base,
        useBinaryFormat: false,
        readMaxBytes: maxAnswerBytes,
        idleConnectionTimeoutMs: 1_000,
        nodeOptions: sessionOptions(address, options.tls),
      }),
    );
  let clients = needsHttp2(address) ? overHttp2() : overHttp1();
  const where = address.kind === "http" ? address.url : address.kind === "unix" ? `unix:${address.path}` : address.id;
  // Over TLS it is found out, once, which protocol to ask in; elsewhere HTTP/1.1 it is, unless the plugin says otherwise.
  let isAgreed = address.kind !== "http" || !address.url.startsWith("https:") || address.protocols !== undefined;
  const agree = async (signal: AbortSignal): Promise<void> => {
    if (!isAgreed && (await speaksHttp2Only(address, options.tls ?? {}, signal))) clients = overHttp2();
    isAgreed = true;
  };
  const ask = async <T>(
    what: string,
    signal: AbortSignal,
    call: (clients: Clients) => Promise<T>,
  ): Promise<T | "unimplemented"> => {
    try {
      await agree(signal);
      return await call(clients);
    } catch (error) {
      return explain(error, what, where);
    }
  };
  return {
    getPluginInfo: (signal) =>
      ask("GetPluginInfo", signal, async ({ identity }) =>
        fromPluginInfo(await identity.getPluginInfo({}, { signal })),
      ),
    handshake: (signal) =>
      ask("Handshake", signal, async ({ handshakes }) => {
        const { magicCookieKey, magicCookieValue, appProtocolVersion } = options;
        const hello = { magicCookieKey, magicCookieValue, appProtocolVersion, coreProtocolVersion: 1 };
        return servicesOfHandshake(await handshakes.handshake(hello, { signal }));
      }),
    setRuntimeIdentity: ({ runtimeId, token, hostUrl }, signal) =>
      ask("SetRuntimeIdentity", signal, async ({ identity }) => {
        const given = { runtimeId, runtimeToken: token, hostUrl, hostFeatures: Object.values(hostFeatures) };
        return (await identity.setRuntimeIdentity(given, { signal })).acknowledged ? "accepted" : "refused";
      }),
    getHealth: (signal) =>
      ask("GetHealth", signal, async ({ control }) => {
        const { state, reason, unavailableDependencies } = await control.getHealth({}, { signal });
        return { verdict: fromWireHealth(state), reason, unavailableDependencies };
      }),
    shutdown: (graceMs, reason, signal) =>
      ask("Shutdown", signal, async ({ control }) => {
        const gracePeriodSeconds = Math.max(1, Math.ceil(graceMs / 1000));
        const answer = await control.shutdown({ gracePeriodSeconds, reason }, { signal });
        return answer.acknowledged ? "acknowledged" : "refused";
      }),
    connect: (signal) => connectOnly(address, where, signal),
    getStatus: (path, signal) => getStatus(base, path, { ...request, signal }, where),
    close: () => {},
  };
}

interface Clients {
  readonly identity: Client<typeof PluginIdentity>;
  readonly control: Client<typeof PluginControl>;
  readonly handshakes: Client<typeof HandshakeService>;
}

const clientsOver = (transport: Transport): Clients => ({
  identity: createClient(PluginIdentity, transport),
  control: createClient(PluginControl, transport),
  handshakes: createClient(HandshakeService, transport),
});

/** Whether the plugin has said that it does not speak HTTP/1.1. */
const needsHttp2 = (address: Reachable): boolean =>
  address.kind !== "module" && address.protocols !== undefined && !address.protocols.includes("h1");

/** How connections of HTTP/2 are made. */
function sessionOptions(address: Reachable, tls: ConnectionOptions = {}) {
  if (address.kind === "unix") return { createConnection: () => net.connect({ path: address.path }) };
  return address.kind === "http" && address.url.startsWith("https:") ? tls : {};
}

function requestOptions(address: Reachable, tls: ConnectionOptions = {}): http.RequestOptions {
  switch (address.kind) {
    case "http":
      return {
        agent: false,
        ...(address.url.startsWith("https:") ? tls : undefined),
      } as http.RequestOptions;
    case "unix":
      return { agent: false, socketPath: address.path };
    case "module":
      // node:http asks `createConnection` only where no agent is given.
      return { createConnection: () => address.connect() };
  }
}

function getStatus(base: string, path: string, request: http.RequestOptions, where: string): Promise<number> {
  if (!isHealthPath(path)) {
    const message = `the metadata health_path must begin with "/" and be escaped, got ${shown(path)}`;
    return Promise.reject(new PluginHostError("PLUGIN_PROTOCOL", message, { field: "metadata.health_path" }));
  }
  return new Promise((resolve, reject) => {
    const onAnswer = (answer: http.IncomingMessage): void => {
      resolve(answer.statusCode ?? 0);
      // What it says beside the status is of no interest, however long it is.
      answer.destroy();
    };
    (base.startsWith("https:") ? https : http)
      .get(`${base}${path}`, request, onAnswer)
      .on("error", (error) => reject(unreachable(error, `GET ${path}`, where)));
  });
}

function connectOnly(address: Reachable, where: string, signal: AbortSignal): Promise<void> {
  if (address.kind === "module") {
    address.connect().destroy();
    return Promise.resolve();
  }
  return new Promise((resolve, reject) => {
    const socket =
      address.kind === "unix"
        ? net.connect({ path: address.path })
        : net.connect({ host: hostOf(address.url), port: portOf(address.url) });
    const end = (settle: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      settle();
    };
    const onAbort = (): void => end(() => reject(signal.reason));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", () => end(resolve));
    socket.once("error", (error) => end(() => reject(unreachable(error, "a connection", where))));
  });
}

const hostOf = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, "");
const portOf = (url: string): number => {
  const { port, protocol } = new URL(url);
  return port === "" ? (protocol === "https:" ? 443 : 80) : Number(port);
};

function unreachable(cause: unknown, what: string, where: string): PluginHostError {
  const why = cause instanceof Error ? (tlsTrouble(cause) ?? cause.message) : String(cause);
  return new PluginHostError("PLUGIN_UNREACHABLE", `${what} at ${where} failed: ${why}`, { cause });
}

/** `"unimplemented"` if the plugin does not have the procedure; throws for every other failure. */
function explain(error: unknown, what: string, where: string): "unimplemented" {
  if (error instanceof PluginHostError) throw error;
  const connectError = ConnectError.from(error);
  const code = systemCode(connectError.cause) ?? systemCode(error);
  // Something answers that is no HTTP/1.1 server, such as one for gRPC only.
  if (code?.startsWith("HPE_")) return "unimplemented";
  if (code !== undefined && code !== "ABORT_ERR") throw unreachable(connectError.cause ?? error, what, where);
  if (connectError.code === Code.Unimplemented) return "unimplemented";
  // A server that does not know the path or the method answers with whatever status it likes, in no protocol of ours.
  if (connectError.code === Code.Unknown && /^(HTTP \d|unsupported content type)/.test(connectError.rawMessage)) {
    return "unimplemented";
  }
  if (connectError.code === Code.Canceled) throw connectError;
  if (connectError.code === Code.Unavailable) throw unreachable(error, what, where);
  throw new PluginHostError("PLUGIN_PROTOCOL", `${what} at ${where} failed: ${connectError.message}`, { cause: error });
}

function systemCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
