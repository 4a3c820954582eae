import type { ServiceImpl } from "@connectrpc/connect";
import { PluginHostError } from "../errors.js";
import type { HandshakeService } from "../gen/connectplugin/v1/handshake_pb.js";
import type { ConnectionInfo } from "../http/exchange.js";
import type { PluginDeclaration } from "../model/declarations.js";
import { checkName, shown } from "../model/limits.js";
import type { Principal } from "../model/principal.js";
import { callerOf } from "./caller.js";
import { fromDeclaration } from "./wire-declaration.js";

const coreProtocolVersion = 1;

/** What a handshake works on. */
export interface HandshakePort {
  readonly magicCookieKey: string;
  readonly magicCookieValue: string;
  readonly appProtocolVersion: number;
  readonly serverVersion: string;
  /** What the host itself offers. */
  capabilities(): readonly { readonly type: string; readonly version: string }[];
  /** What the host can do beyond the first protocol, for who is at the other end of the connection. */
  features(connection: ConnectionInfo): readonly string[];
  /** Undefined if the principal may get an identity, otherwise why not. */
  admissionRefusal(principal: Principal, connection: ConnectionInfo): string | undefined;
  /** A new identity. */
  join(
    selfId: string,
    selfVersion: string,
    baseUrl: string,
    peerAddress: string,
    launchId: string | undefined,
    declaration: PluginDeclaration | undefined,
  ): { readonly runtimeId: string; readonly token: string };
  /** A launched program was refused its handshake. */
  refused(launchId: string, refusal: PluginHostError): void;
  /** By what the plugin knows its host. It checks that from now on, so every call to it has to carry it. */
  hostSecretFor(runtimeId: string, launchId: string | undefined): string;
  /** Another token for an identity that the caller has proved to own. */
  renew(runtimeId: string): string | undefined;
}

/** `connectplugin.v1.HandshakeService`. The checks come in the order of the wire contract: cookie, core, app, self id. */
export const handshakeRpc = (port: HandshakePort): ServiceImpl<typeof HandshakeService> => ({
  handshake(request, context) {
    const { authentication, connection } = callerOf(context);
    // An identity that the host does not know any more is no obstacle to getting a new one.
    const principal = authentication.kind === "principal" ? authentication.principal : authentication.otherwise;
    const launchId = principal.kind === "launch" ? principal.launchId : undefined;
    try {
      checkVersions(port, request);
    } catch (error) {
      if (launchId !== undefined && error instanceof PluginHostError) port.refused(launchId, error);
      throw error;
    }
    const answer = {
      coreProtocolVersion,
      appProtocolVersion: port.appProtocolVersion,
      serverMetadata: { server_version: port.serverVersion },
      hostCapabilities: port
        .capabilities()
        .map(({ type, version }) => ({ type, version, endpoint: `/capabilities/${type}` })),
      hostFeatures: [...port.features(connection)],
    };
    if (request.selfId === "") return answer;
    // Spaces become dashes in the runtime id (wire contract, Identity).
    checkName("self_id", request.selfId.replaceAll(" ", "-"));
    if (principal.kind === "plugin" && principal.selfId === request.selfId) {
      const runtimeToken = port.renew(principal.runtimeId);
      const { runtimeId } = principal;
      const hostSecret = request.checksHostSecret ? port.hostSecretFor(runtimeId, undefined) : "";
      if (runtimeToken !== undefined) return { ...answer, runtimeId, runtimeToken, hostSecret };
    }
    const refusal = port.admissionRefusal(principal, connection);
    if (refusal !== undefined) throw new PluginHostError("UNAUTHENTICATED", refusal);
    const { selfId, selfVersion, baseUrl } = request;
    const declares =
      request.declaration === undefined ? undefined : fromDeclaration(selfId, selfVersion, request.declaration);
    const { remoteAddress } = connection;
    const { runtimeId, token } = port.join(selfId, selfVersion, baseUrl, remoteAddress, launchId, declares);
    const hostSecret = request.checksHostSecret ? port.hostSecretFor(runtimeId, launchId) : "";
    return { ...answer, runtimeId, runtimeToken: token, hostSecret };
  },
});

interface Versions {
  readonly magicCookieKey: string;
  readonly magicCookieValue: string;
  readonly coreProtocolVersion: number;
  readonly appProtocolVersion: number;
}

function checkVersions(port: HandshakePort, request: Versions): void {
  if (request.magicCookieKey !== port.magicCookieKey || request.magicCookieValue !== port.magicCookieValue) {
    throw new PluginHostError(
      "COOKIE_MISMATCH",
      `magic_cookie_key and magic_cookie_value are not this host's; got the key ${shown(request.magicCookieKey)}`,
    );
  }
  if (request.coreProtocolVersion !== coreProtocolVersion) {
    throw new PluginHostError(
      "CORE_VERSION_MISMATCH",
      `core_protocol_version must be ${coreProtocolVersion}, got ${request.coreProtocolVersion}`,
    );
  }
  if (request.appProtocolVersion !== port.appProtocolVersion) {
    throw new PluginHostError(
      "APP_VERSION_MISMATCH",
      `app_protocol_version must be ${port.appProtocolVersion}, got ${request.appProtocolVersion}`,
    );
  }
}
