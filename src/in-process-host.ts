import type { IdentityStore } from "./identity/identity-store.js";
import type { InProcessHost } from "./link/in-process-route.js";
import type { Principal } from "./model/principal.js";
import type { Caller } from "./router/decide.js";
import type { ServiceRouter } from "./router/router.js";

const rejected: Caller = Object.freeze({
  refused: "the runtime id or its token is unknown, expired or revoked; handshake again",
});

/** The host, as modules call each other through it. The identity counts at each call, as if it had come with a request. */
export function createInProcessHost(identities: IdentityStore, router: ServiceRouter): InProcessHost {
  return {
    route({ runtimeId, token }, serviceType) {
      const verify = identities.verifier(runtimeId, token);
      let principal: (Principal & { readonly kind: "plugin" }) | undefined;
      const caller = (): Caller => {
        const identity = verify();
        if (identity === undefined) return rejected;
        if (principal?.runtimeId !== identity.runtimeId) {
          principal = { kind: "plugin", runtimeId: identity.runtimeId, selfId: identity.selfId };
        }
        return principal;
      };
      return router.inProcess({ caller, serviceType, idOrAny: "any", pathForm: "short" });
    },
  };
}
