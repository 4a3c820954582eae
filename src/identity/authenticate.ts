import { createHash, timingSafeEqual } from "node:crypto";
import type { Principal } from "../model/principal.js";
import type { Credentials } from "./credentials.js";
import type { IdentityStore } from "./identity-store.js";

/** The principal, or why there is none, for people. */
export type Authentication =
  | { readonly kind: "principal"; readonly principal: Principal }
  | { readonly kind: "refused"; readonly reason: string };

/** What {@link createAuthenticator} checks credentials against. */
export interface AuthenticatorOptions {
  readonly identities: IdentityStore;
  /** Who belongs to a launch nonce: its id, or undefined if no such launch is under way. */
  readonly launchOf: (nonce: string) => string | undefined;
  /** The host's join token, if it has one. */
  readonly joinToken: string | undefined;
}

const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest();

const refused = (reason: string): Authentication => ({ kind: "refused", reason });
const anonymous: Authentication = { kind: "principal", principal: { kind: "anonymous" } };

/**
 * The one place where credentials become a {@link Principal}. Credentials that are there and wrong are refused, also
 * where none would do; no credentials at all make an anonymous principal.
 */
export function createAuthenticator(options: AuthenticatorOptions): (credentials: Credentials) => Authentication {
  const joinHash = options.joinToken === undefined ? undefined : sha256(options.joinToken);
  return (credentials) => {
    const { runtimeId, bearer, launchNonce, joinToken } = credentials;
    if (runtimeId !== undefined) {
      if (bearer === undefined) {
        return refused("X-Plugin-Runtime-ID without a runtime token; send it as Authorization: Bearer <token>");
      }
      const identity = options.identities.verify(runtimeId, bearer);
      if (identity === undefined) {
        return refused("the runtime id or its token is unknown, expired or revoked; handshake again");
      }
      return {
        kind: "principal",
        principal: { kind: "plugin", runtimeId: identity.runtimeId, selfId: identity.selfId },
      };
    }
    if (launchNonce !== undefined) {
      const launchId = options.launchOf(launchNonce);
      if (launchId === undefined) return refused("the launch in the path is not known");
      return { kind: "principal", principal: { kind: "launch", launchId } };
    }
    const join = joinToken ?? bearer;
    if (join !== undefined) {
      if (joinHash !== undefined && timingSafeEqual(joinHash, sha256(join))) {
        return { kind: "principal", principal: { kind: "join" } };
      }
      return refused("the token is neither a join token nor comes with an X-Plugin-Runtime-ID");
    }
    return anonymous;
  };
}
