import { handleCapabilityCall, handleCapabilityUpgrade } from "./capability-front.js";
import { PluginHostError } from "./errors.js";
import { HostFront } from "./host-front.js";
import type { HostLinks } from "./host-links.js";
import { joinProcedures, type ProcedureParts } from "./host-procedures.js";
import { createAuthenticator } from "./identity/authenticate.js";
import { Ingress } from "./ingress.js";
import type { ServiceRouter } from "./router/router.js";

/** The parts of a host that requests to it meet. */
export interface FrontJoints extends Omit<ProcedureParts, "callerOf"> {
  readonly router: ServiceRouter;
  readonly links: HostLinks | undefined;
  readonly warn: (message: string, error: unknown) => void;
}

/** The front of a host, joined to what it hands requests to. */
export function joinFront(joints: FrontJoints): HostFront {
  const { options, identities, selfRegistration, broker, router, links, lifecycle, warn } = joints;
  const { joinToken, adminToken, publicUrl, ingress } = options;
  const authenticate = createAuthenticator({
    identities,
    launchOf: (nonce) => joints.nonces.launchOf(nonce),
    joinToken,
    adminToken,
  });
  const front: HostFront = new HostFront({
    clock: options.clock,
    router,
    procedures: joinProcedures({ ...joints, callerOf: (exchange) => front.callerOf(exchange) }),
    links,
    handleCapability: (exchange) => handleCapabilityCall(broker, router, exchange),
    upgradeCapability: (head, ...upgrade) => handleCapabilityUpgrade(broker, router, head, ...upgrade),
    authenticate: (credentials) => {
      const found = authenticate(credentials);
      if (found.kind === "refused" && found.otherwise.kind === "launch") {
        selfRegistration.refused(found.otherwise.launchId, new PluginHostError("UNAUTHENTICATED", found.reason));
      }
      return found;
    },
    ingress: new Ingress({
      exposed: ingress,
      clock: options.clock,
      onError: (error) => warn("the check of an exposed service failed", error),
    }),
    publicAuthority: publicUrl === undefined ? undefined : new URL(publicUrl).host.toLowerCase(),
    onError: (error) => warn("a request to upgrade failed inside the host", error),
    isLoopback: (connection) => joints.server().isLoopback(connection),
    notReady: () => (lifecycle.isStopping ? "stopping" : undefined),
    readiness: () => lifecycle.readiness(),
  });
  return front;
}
