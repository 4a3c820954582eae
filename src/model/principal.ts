import type { RuntimeId } from "./catalog.js";

/** Who makes a request, as far as the host has checked it. */
export type Principal =
  /** A plugin with a valid runtime token. `byGrant`: a grant of the host lets it call, whatever it declared. @default byGrant false */
  | { readonly kind: "plugin"; readonly runtimeId: RuntimeId; readonly selfId: string; readonly byGrant?: boolean }
  /** A program that the host launched and that has no identity yet. */
  | { readonly kind: "launch"; readonly launchId: string }
  /** Somebody who knows the join token. */
  | { readonly kind: "join" }
  /** A user of an exposed service. `user` is what the ingress's own check found. */
  | { readonly kind: "ingress"; readonly user: string | undefined }
  /** The program that embeds the host. */
  | { readonly kind: "host" }
  /** An operator, by the admin token or over the admin's own socket. */
  | { readonly kind: "admin" }
  /** Nobody that the host knows. */
  | { readonly kind: "anonymous" };

/** A short text for logs and the `X-Plugin-Caller-ID` header. */
export function principalId(principal: Principal): string {
  switch (principal.kind) {
    case "plugin":
      return principal.runtimeId;
    case "launch":
      return `launch:${principal.launchId}`;
    case "ingress":
      return principal.user === undefined ? "ingress" : `ingress:${principal.user}`;
    case "join":
    case "host":
    case "admin":
    case "anonymous":
      return principal.kind;
  }
}
