import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorCode, PluginHostError } from "../errors.js";
import { HandshakeService } from "../gen/connectplugin/v1/handshake_pb.js";
import { type Credential, credentialHeaders } from "./host-access.js";
import type { HostConnection } from "./host-connection.js";
import { hostClient } from "./host-rpc.js";
import type { toWireDeclaration } from "./wire-declaration.js";

/** What a plugin says in the handshake beside its name. */
export interface HandshakeSettings {
  /** @default "CONNECT_PLUGIN" */
  readonly cookieKey: string;
  /** Shows that the program is meant to be a plugin of this host; not a secret. */
  readonly cookieValue: string;
  /** @default 1 */
  readonly coreVersion: number;
  /** @default 1 */
  readonly appVersion: number;
  /** What a host asks for that listens beyond loopback. A secret. */
  readonly joinToken: string | undefined;
}

/** The wire contract's defaults. */
export const defaultHandshake: HandshakeSettings = Object.freeze({
  cookieKey: "CONNECT_PLUGIN",
  cookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
  coreVersion: 1,
  appVersion: 1,
  joinToken: undefined,
});

/** Who shakes hands. */
export interface HandshakeCaller {
  readonly selfId: string;
  readonly selfVersion: string;
  /** Where the plugin listens; empty if the host knows it already. */
  readonly baseUrl: string;
  /** All that the plugin provides and requires. */
  readonly declaration: ReturnType<typeof toWireDeclaration>;
}

/** What the host gives. */
export interface HandshakeResult {
  readonly identity: Credential;
  readonly features: ReadonlySet<string>;
  /** By what the plugin knows this host; empty if it gives none. */
  readonly hostSecret: string;
}

/**
 * Gets an identity from the host. With `previous` the host renews that one, if it still knows it.
 *
 * @throws ConnectError as the host answers; `unauthenticated` if it does not know `previous`
 */
export async function handshake(
  connection: HostConnection,
  caller: HandshakeCaller,
  settings: HandshakeSettings,
  previous: Credential | undefined,
  call: { readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<HandshakeResult> {
  const join = settings.joinToken === undefined ? undefined : { authorization: `Bearer ${settings.joinToken}` };
  const headers = previous === undefined ? join : credentialHeaders(previous);
  const answer = await hostClient(HandshakeService, connection, headers).handshake(
    {
      coreProtocolVersion: settings.coreVersion,
      appProtocolVersion: settings.appVersion,
      magicCookieKey: settings.cookieKey,
      magicCookieValue: settings.cookieValue,
      checksHostSecret: true,
      ...caller,
    },
    call,
  );
  if (answer.runtimeId === "" || answer.runtimeToken === "") {
    throw new ConnectError("the host answered the handshake without an identity", Code.Internal);
  }
  return {
    identity: { runtimeId: answer.runtimeId, token: answer.runtimeToken },
    features: new Set(answer.hostFeatures),
    hostSecret: answer.hostSecret,
  };
}

const refusals = new Map<Code, ErrorCode>([
  [Code.InvalidArgument, "INVALID_ARGUMENT"],
  [Code.FailedPrecondition, "APP_VERSION_MISMATCH"],
  [Code.PermissionDenied, "NOT_ALLOWED"],
  [Code.Unauthenticated, "UNAUTHENTICATED"],
]);

/** The error for what trying again cannot change, undefined for what it can. */
export function refusalOf(error: unknown): PluginHostError | undefined {
  if (error instanceof PluginHostError) return error;
  const cause = ConnectError.from(error);
  const code = refusals.get(cause.code);
  if (code === undefined) return undefined;
  return new PluginHostError(code, `the host refuses the plugin: ${cause.rawMessage}`, { cause });
}
