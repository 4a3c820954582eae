import { type CallOptions, type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { PluginHostError } from "../errors.js";
import { PluginControl } from "../gen/connectplugin/v1/control_pb.js";
import { HandshakeService } from "../gen/connectplugin/v1/handshake_pb.js";
import { PluginIdentity } from "../gen/connectplugin/v1/identity_pb.js";
import type { PluginRemote } from "../lifecycle/plugin-remote.js";
import { hostFeatures } from "../link/host-features.js";
import type { ProviderTls } from "../model/address.js";
import { hostSecretHeader } from "../model/host-secret.js";
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
  /** For plugins over `https:` that name none of their own: authorities, the host's certificate. @default Node's */
  readonly tls?: ProviderTls;
  /** By what the plugin knows this host, now; undefined if it has no such secret. @default no plugin has */
  readonly hostSecret?: () => string | undefined;
}

/** What every call of the host to a plugin carries beside its own. */
export function hostHeaders({ hostSecret }: Pick<RemoteOptions, "hostSecret">): Record<string, string> {
  const secret = hostSecret?.();
  return secret === undefined ? {} : { [hostSecretHeader]: secret };
}

/** Clients of what a plugin serves for its host. */
export interface Clients {
  readonly identity: Client<typeof PluginIdentity>;
  readonly control: Client<typeof PluginControl>;
  readonly handshakes: Client<typeof HandshakeService>;
}

/** The clients of one plugin, whatever carries their calls. */
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
): Omit<PluginRemote, "connect" | "getStatus" | "close"> => {
  const callOptions = (signal: AbortSignal): CallOptions => ({ signal, headers: hostHeaders(options) });
  return {
    getPluginInfo: (signal) =>
      ask("GetPluginInfo", signal, async ({ identity }) =>
        fromPluginInfo(await identity.getPluginInfo({}, callOptions(signal))),
      ),
    handshake: (signal) =>
      ask("Handshake", signal, async ({ handshakes }) => {
        const { magicCookieKey, magicCookieValue, appProtocolVersion } = options;
        const hello = { magicCookieKey, magicCookieValue, appProtocolVersion, coreProtocolVersion: 1 };
        return servicesOfHandshake(await handshakes.handshake(hello, callOptions(signal)));
      }),
    setRuntimeIdentity: ({ runtimeId, token, hostUrl }, signal) =>
      ask("SetRuntimeIdentity", signal, async ({ identity }) => {
        const given = {
          runtimeId,
          runtimeToken: token,
          hostUrl,
          hostFeatures: [...(options.features?.() ?? Object.values(hostFeatures))],
        };
        const answer = await identity.setRuntimeIdentity(given, callOptions(signal));
        if (!answer.acknowledged) return "refused";
        return answer.checksHostSecret ? "guarded" : "accepted";
      }),
    getHealth: (signal) =>
      ask("GetHealth", signal, async ({ control }) => {
        const { state, reason, unavailableDependencies } = await control.getHealth({}, callOptions(signal));
        return { verdict: fromWireHealth(state), reason, unavailableDependencies };
      }),
    shutdown: (graceMs, reason, signal) =>
      ask("Shutdown", signal, async ({ control }) => {
        const gracePeriodSeconds = Math.max(1, Math.ceil(graceMs / 1000));
        const answer = await control.shutdown({ gracePeriodSeconds, reason }, callOptions(signal));
        return answer.acknowledged ? "acknowledged" : "refused";
      }),
  };
};

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

/** The code of an error of the system, or of the parser of HTTP/1.1. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
