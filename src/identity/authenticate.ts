import { createHash, timingSafeEqual } from "node:crypto";
import type { Principal } from "../model/principal.js";
import type { Credentials } from "./credentials.js";
import type { IdentityStore } from "./identity-store.js";

/** The principal, or why there is none, for people. */
export type Authentication =
  | { readonly kind: "principal"; readonly principal: Principal }
  | {
      readonly kind: "refused";
      readonly reason: string;
      /** Who it would be without the identity that is wrong. A handshake goes by that: it asks for a new one. */
      readonly otherwise: Principal;
    };

/** What {@link createAuthenticator} checks credentials against. */
export interface AuthenticatorOptions {
  readonly identities: IdentityStore;
  /** Who belongs to a launch nonce: its id, or undefined if no such launch is under way. */
  readonly launchOf: (nonce: string) => string | undefined;
  /** The host's join token, if it has one. */
  readonly joinToken: string | undefined;
  /** The operators' token, if there is one. */
  readonly adminToken?: string | undefined;
}

const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest();

const anonymous: Principal = { kind: "anonymous" };
const authenticated = (principal: Principal): Authentication => ({ kind: "principal", principal });
const refused = (reason: string, otherwise: Principal = anonymous): Authentication => ({
  kind: "refused",
  reason,
  otherwise,
});

/**
 * The one place where credentials become a {@link Principal}. Credentials that are there and wrong are refused, also
 * where none would do; no credentials at all make an anonymous principal.
 */
export function createAuthenticator(options: AuthenticatorOptions): (credentials: Credentials) => Authentication {
  const joinHash = options.joinToken === undefined ? undefined : sha256(options.joinToken);
  const adminHash = options.adminToken === undefined ? undefined : sha256(options.adminToken);
  const equals = (hash: Buffer | undefined, token: string): boolean =>
    hash !== undefined && timingSafeEqual(hash, sha256(token));
  const withoutIdentity = ({ bearer, launchNonce, joinToken }: Credentials): Authentication => {
    if (launchNonce !== undefined) {
      const launchId = options.launchOf(launchNonce);
      if (launchId === undefined) return refused("the launch in the path is not known");
      return authenticated({ kind: "launch", launchId });
    }
    const join = joinToken ?? bearer;
    if (join === undefined) return authenticated(anonymous);
    if (equals(joinHash, join)) return authenticated({ kind: "join" });
    // Not from the path, where a token ends up in the logs of whatever stands in front of the host.
    if (bearer !== undefined && equals(adminHash, bearer)) return authenticated({ kind: "admin" });
    return refused("the token is neither the host's join token nor does it come with an X-Plugin-Runtime-ID");
  };
  return (credentials) => {
    const { runtimeId, bearer } = credentials;
    if (runtimeId === undefined) return withoutIdentity(credentials);
    const identity = bearer === undefined ? undefined : options.identities.verify(runtimeId, bearer);
    if (identity !== undefined) {
      return authenticated({ kind: "plugin", runtimeId: identity.runtimeId, selfId: identity.selfId });
    }
    const rest = withoutIdentity(credentials);
    const otherwise = rest.kind === "principal" ? rest.principal : rest.otherwise;
    return bearer === undefined
      ? refused("X-Plugin-Runtime-ID without a runtime token; send it as Authorization: Bearer <token>", otherwise)
      : refused("the runtime id or its token is unknown, expired or revoked; handshake again", otherwise);
  };
}
