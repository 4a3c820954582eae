import type { RequestHead } from "../http/exchange.js";

/** What a request brings to say who sent it. Nothing here is checked yet. */
export interface Credentials {
  readonly runtimeId: string | undefined;
  /** The bearer token of `Authorization`. */
  readonly bearer: string | undefined;
  /** From the path prefix `/_launch/<nonce>`. */
  readonly launchNonce: string | undefined;
  /** From the path prefix `/_join/<token>`. */
  readonly joinToken: string | undefined;
}

const bearerPattern = /^Bearer +([^\s]+) *$/i;

function bearerOf(authorization: string): string | undefined {
  // As nearly everybody writes it.
  if (authorization.startsWith("Bearer ")) {
    const token = authorization.slice(7);
    if (token !== "" && !/\s/.test(token)) return token;
  }
  return bearerPattern.exec(authorization)?.[1];
}

/** Reads the credentials in a request's head and in the prefix that was taken off its path. */
export function readCredentials(head: RequestHead, prefix: PathPrefix): Credentials {
  const authorization = head.header("authorization");
  return {
    runtimeId: head.header("x-plugin-runtime-id"),
    bearer: authorization === undefined ? undefined : bearerOf(authorization),
    launchNonce: prefix.launchNonce,
    joinToken: prefix.joinToken,
  };
}

/** What stood in front of a path, and the path without it. */
export interface PathPrefix {
  readonly launchNonce: string | undefined;
  readonly joinToken: string | undefined;
  /** The target without the prefix; begins with a slash. */
  readonly target: string;
}

const prefixPattern = /^\/_(launch|join)\/([A-Za-z0-9_-]{1,256})(?=\/|\?|$)/;

/** A host's URL that was given with a slash at its end makes plugins send two. */
const foldSlashes = (target: string): string => (target.startsWith("//") ? target.replace(/^\/+/, "/") : target);

/**
 * Takes `/_launch/<nonce>` or `/_join/<token>` off a request's target (wire contract, Identity), and makes one slash of
 * several in front.
 */
export function takePrefix(asSent: string): PathPrefix {
  const target = foldSlashes(asSent);
  // The first characters decide for nearly every request that there is none.
  if (!target.startsWith("/_")) return { launchNonce: undefined, joinToken: undefined, target };
  const match = prefixPattern.exec(target);
  if (match === null) return { launchNonce: undefined, joinToken: undefined, target };
  const rest = target.slice(match[0].length);
  return {
    launchNonce: match[1] === "launch" ? match[2] : undefined,
    joinToken: match[1] === "join" ? match[2] : undefined,
    target: foldSlashes(rest.startsWith("/") ? rest : `/${rest}`),
  };
}
