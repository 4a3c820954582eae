import type { IngressOptions } from "../../index.js";
import type { HostConfig } from "../config/config-schema.js";
import { checkUsers } from "./ingress-users.js";
import { readExpose } from "./serve-options.js";

/**
 * What the host exposes, by the configuration and by `--expose`. Tokens that the host itself has asked for are nothing for
 * providers: they are kept from them unless the configuration says otherwise.
 */
export function readIngress(
  configured: HostConfig["ingress"] = [],
  expose: readonly string[] = [],
): { readonly exposed: readonly IngressOptions[]; readonly stripUserCredentials?: true } {
  const exposed = configured.map(
    ({ users, ...where }): IngressOptions => ({ ...where, access: users === undefined ? "open" : checkUsers(users) }),
  );
  const asked = configured.some(({ users }) => users !== undefined);
  return {
    exposed: [...exposed, ...expose.map((one): IngressOptions => ({ ...readExpose(one), access: "open" }))],
    ...(asked ? { stripUserCredentials: true } : {}),
  };
}
