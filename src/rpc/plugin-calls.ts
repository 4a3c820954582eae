import type { ConnectionOptions } from "node:tls";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { PluginHostError } from "../errors.js";
import { PluginControl } from "../gen/connectplugin/v1/control_pb.js";
import { HandshakeService } from "../gen/connectplugin/v1/handshake_pb.js";
import { PluginIdentity } from "../gen/connectplugin/v1/identity_pb.js";
import type { PluginRemote } from "../lifecycle/plugin-remote.js";
import { hostFeatures } from "../link/host-features.js";
import { tlsTrouble } from "../router/dial-failure.js";
import { fromPluginInfo, servicesOfHandshake } from "./wire-declaration.js";
import { fromWireHealth } from "./wire-health.js";

/** What the host says of itself when it handshakes with a plugin. */
export interface RemoteOptions {
  readonly magicCookieKey: string;
  readonly magicCookieValue: string;
  readonly appProtocolVersion: number;
  /** What the host can do beyond the first protocol, now. @default everything but links */
  readonly features?: () => readonly string[];
  /** For plugins over `https:`: authorities, the host's own certificate. @default Node's */
  readonly tls?: ConnectionOptions;
}

/** Clients of what a plugin serves for its host. */
export interface Clients {
  readonly identity: Client<typeof PluginIdentity>;
  readonly control: Client<typeof PluginControl>;
  readonly handshakes: Client<typeof HandshakeService>;
}

export const clientsOver = (transport: Transport): Clients => ({
  identity: createClient(PluginIdentity, transport),
  control: createClient(PluginControl, transport),
  handshakes: createClient(HandshakeService, transport),
});

/** Makes one call with the clients of a plugin. What it rejects with is what {@link explain} makes of the failure. */
export type Ask = <T>(
  what: string,
  signal: AbortSignal,
  call: (clients: Clients) => Promise<T>,
) => Promise<T | "unimplemented">;

/** What the host asks a plugin by calls, however these travel. */
export const pluginCalls = (
  ask: Ask,
  options: RemoteOptions,
): Omit<PluginRemote, "connect" | "getStatus" | "close"> => ({
  getPluginInfo: (signal) =>
    ask("GetPluginInfo", signal, async ({ identity }) => fromPluginInfo(await identity.getPluginInfo({}, { signal }))),
  handshake: (signal) =>
    ask("Handshake", signal, async ({ handshakes }) => {
      const { magicCookieKey, magicCookieValue, appProtocolVersion } = options;
      const hello = { magicCookieKey, magicCookieValue, appProtocolVersion, coreProtocolVersion: 1 };
      return servicesOfHandshake(await handshakes.handshake(hello, { signal }));
    }),
  setRuntimeIdentity: ({ runtimeId, token, hostUrl }, signal) =>
    ask("SetRuntimeIdentity", signal, async ({ identity }) => {
      const given = {
        runtimeId,
        runtimeToken: token,
        hostUrl,
        hostFeatures: [...(options.features?.() ?? Object.values(hostFeatures))],
      };
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
});

export function unreachable(cause: unknown, what: string, where: string): PluginHostError {
  const why = cause instanceof Error ? (tlsTrouble(cause) ?? cause.message) : String(cause);
  return new PluginHostError("PLUGIN_UNREACHABLE", `${what} at ${where} failed: ${why}`, { cause });
}

/** `"unimplemented"` if the plugin does not have the procedure; throws for every other failure. */
export function explain(error: unknown, what: string, where: string): "unimplemented" {
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
