import { createHash } from "node:crypto";
import type { IngressCheck } from "../../index.js";

/**
 * Lets in who shows the token of a user: as `Authorization: Bearer`, or as the password of `Basic` with the user's name.
 *
 * @param users tokens by name
 */
export function checkUsers(users: Readonly<Record<string, string>>): IngressCheck {
  // By hash, so that how long it takes says nothing about how much of a token was right.
  const names = new Map(Object.entries(users).map(([name, token]) => [hashOf(token), name]));
  return (head) => {
    const [, scheme = "", credentials = ""] = /^(\S+) +(\S+) *$/.exec(head.header("authorization") ?? "") ?? [];
    if (scheme.toLowerCase() === "bearer") return names.get(hashOf(credentials));
    if (scheme.toLowerCase() !== "basic") return undefined;
    const [, name, token = ""] = /^([^:]*):(.*)$/s.exec(Buffer.from(credentials, "base64").toString()) ?? [];
    return names.get(hashOf(token)) === name ? name : undefined;
  };
}

const hashOf = (token: string): string => createHash("sha256").update(token).digest("base64");
