import http from "node:http";
import https from "node:https";
import net from "node:net";
import type { ConnectionOptions } from "node:tls";
import { PluginHostError } from "../errors.js";
import type { PluginRemote } from "../lifecycle/plugin-remote.js";
import type { PluginAddress } from "../model/address.js";
import { shown } from "../model/limits.js";
import { type TargetAddress, targetAddress } from "../router/target-address.js";
import { isHealthPath } from "./health-path.js";
import { getHttp2Status } from "./http2-status.js";
import { jsonTransport } from "./json-transport.js";
import {
  type Ask,
  type Clients,
  clientsOver,
  explain,
  hostHeaders,
  pluginCalls,
  type RemoteOptions,
  systemCode,
  unreachable,
} from "./plugin-calls.js";
import { speaksHttp2Only } from "./speaks-http2-only.js";

/** Largest answer that a plugin may give about itself. */
const maxAnswerBytes = 4 * 1024 * 1024;

/** An address that the host can dial. */
export type Reachable = Exclude<PluginAddress, { kind: "external" | "link" | "worker" }>;

/** Whether the host can dial an address. */
export const isReachable = (address: PluginAddress): address is Reachable =>
  address.kind !== "external" && address.kind !== "link" && address.kind !== "worker";

/**
 * Speaks to a plugin as the wire contract asks: Connect, JSON, HTTP/1.1, so that a plugin needs no more than an HTTP server
 * and JSON. A connection is used for one call: these calls are rare, and a kept one may just be closing.
 */
export function openPluginRemote(address: Reachable, options: RemoteOptions): PluginRemote {
  const base = address.kind === "http" ? address.url : "http://plugin.invalid";
  const tls = address.kind === "http" ? (address.tls ?? options.tls) : undefined;
  const request = () => requestOptions(address, tls?.connection);
  const overHttp1 = () => clientsOver(jsonTransport({ baseUrl: base, request, readMaxBytes: maxAnswerBytes }));
  const overHttp2 = async () => {
    // Few plugins speak HTTP/2 alone.
    const { createConnectTransport } = await import("@connectrpc/connect-node");
    return clientsOver(
      createConnectTransport({
        httpVersion: "2",
        baseUrl: base,
        useBinaryFormat: false,
        readMaxBytes: maxAnswerBytes,
        idleConnectionTimeoutMs: 1_000,
        nodeOptions: sessionOptions(address, tls?.connection),
      }),
    );
  };
  let isHttp2 = needsHttp2(address);
  let http1: Clients | undefined;
  let http2: { readonly clients: Promise<Clients>; readonly made: ConnectionOptions | undefined } | undefined;
  const clients = (): Clients | Promise<Clients> => {
    if (!isHttp2) {
      http1 ??= overHttp1();
      return http1;
    }
    // Other certificates need other connections.
    if (http2?.made !== tls?.connection || http2 === undefined) http2 = { clients: overHttp2(), made: tls?.connection };
    return http2.clients;
  };
  const where = address.kind === "http" ? address.url : address.kind === "unix" ? `unix:${address.path}` : address.id;
  // Over TLS it is found out, once, which protocol to ask in; elsewhere HTTP/1.1 it is, unless the plugin says otherwise.
  let isAgreed = address.kind !== "http" || !address.url.startsWith("https:") || address.protocols !== undefined;
  const agree = async (signal: AbortSignal): Promise<void> => {
    if (!isAgreed && (await speaksHttp2Only(address, tls, signal))) isHttp2 = true;
    isAgreed = true;
  };
  const ask: Ask = async (what, signal, call) => {
    try {
      await agree(signal);
      return await call(await clients());
    } catch (error) {
      return explain(error, what, where);
    }
  };
  return {
    ...pluginCalls(ask, options),
    connect: (signal) => connectOnly(address, where, signal),
    getStatus: async (path, signal) => {
      if (!isHealthPath(path)) {
        const message = `the metadata health_path must begin with "/" and be escaped, got ${shown(path)}`;
        throw new PluginHostError("PLUGIN_PROTOCOL", message, { field: "metadata.health_path" });
      }
      try {
        await agree(signal);
        if (!isHttp2) return await getStatus(base, path, { ...request(), headers: hostHeaders(options), signal });
      } catch (error) {
        // What answers here is no HTTP/1.1.
        if (!systemCode(error)?.startsWith("HPE_")) throw unreachable(error, `GET ${path}`, where);
      }
      try {
        return await getHttp2Status(targetAddress(address, tls) as TargetAddress, path, signal);
      } catch (error) {
        throw unreachable(error, `GET ${path}`, where);
      }
    },
    close: () => {},
  };
}

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

function getStatus(base: string, path: string, request: http.RequestOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const onAnswer = (answer: http.IncomingMessage): void => {
      resolve(answer.statusCode ?? 0);
      // What it says beside the status is of no interest, however long it is.
      answer.destroy();
    };
    (base.startsWith("https:") ? https : http).get(`${base}${path}`, request, onAnswer).on("error", reject);
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
