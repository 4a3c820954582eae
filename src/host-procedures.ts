import type { CapabilityBroker } from "./capabilities/capability-broker.js";
import type { ServeGranted } from "./capability-front.js";
import { PluginHostError } from "./errors.js";
import type { HostServer } from "./host-server.js";
import type { ConnectHandler } from "./http/connect-handler.js";
import type { ServerExchange } from "./http/exchange.js";
import { admissionRefusal } from "./identity/admission.js";
import type { Authentication } from "./identity/authenticate.js";
import type { IdentityStore } from "./identity/identity-store.js";
import { randomBase64Url } from "./internal/ids.js";
import type { LaunchNonces } from "./launch/launch-nonces.js";
import type { Lifecycle } from "./lifecycle/lifecycle.js";
import type { LivePlugin } from "./lifecycle/live-plugin.js";
import { OpenWatches } from "./lifecycle/open-watches.js";
import type { PluginDirectory } from "./lifecycle/plugin-directory.js";
import type { SelfRegistration } from "./lifecycle/self-registration.js";
import type { RuntimeId } from "./model/catalog.js";
import { callRefusal, unknownPermissions } from "./model/permissions.js";
import type { ResolvedOptions } from "./options.js";
import type { Catalog } from "./registry/catalog.js";
import type { ServiceRegistry } from "./registry/service-registry.js";
import type { AdminPort } from "./rpc/admin-service.js";
import { hostProcedures } from "./rpc/host-procedures.js";
import { libraryVersion } from "./version.js";

/** The parts of a host that its own procedures work on. */
export interface ProcedureParts {
  readonly options: ResolvedOptions;
  readonly catalog: Catalog;
  readonly registry: ServiceRegistry;
  readonly directory: PluginDirectory;
  readonly lifecycle: Lifecycle;
  readonly selfRegistration: SelfRegistration;
  readonly identities: IdentityStore;
  readonly nonces: LaunchNonces;
  readonly broker: CapabilityBroker<ServeGranted>;
  /** Made after the procedures, and there before the first call. */
  readonly server: () => HostServer;
  /** Undefined while the admin service is off. */
  readonly admin: AdminPort | undefined;
  /** Aborted when the host has stopped. */
  readonly stopped: AbortSignal;
  readonly callerOf: (exchange: ServerExchange) => Authentication;
  /** What the host can do beyond the first protocol, now; for a plugin in the host's process, or for others. */
  readonly features: (inProcess: boolean) => readonly string[];
}

/** The host's own procedures, each joined to the part that does the work. */
export function joinProcedures(parts: ProcedureParts): ConnectHandler {
  const { options, catalog, registry, directory, lifecycle, selfRegistration, identities, broker, server } = parts;
  const watches = new OpenWatches(options.maxWatchesPerPlugin);
  const seen = (runtimeId: RuntimeId): LivePlugin | undefined => {
    const plugin = directory.get(runtimeId);
    if (plugin !== undefined) selfRegistration.seen(plugin);
    return plugin;
  };
  const observe = (runtimeId: RuntimeId, type: string): void => {
    const { permissions } = directory.get(runtimeId) ?? { permissions: unknownPermissions };
    const refusal = callRefusal(options.permissions, runtimeId, permissions, type, undefined);
    if (refusal !== undefined) throw new PluginHostError("NOT_DECLARED", refusal);
    const plugin = seen(runtimeId);
    if (plugin !== undefined) directory.observe(plugin, type);
  };
  return hostProcedures({
    callerOf: parts.callerOf,
    handshake: {
      magicCookieKey: options.magicCookie.key,
      magicCookieValue: options.magicCookie.value,
      appProtocolVersion: options.appProtocolVersion,
      serverVersion: `connect-plugin-host/${libraryVersion}`,
      capabilities: () => broker.offered(),
      features: (connection) => parts.features(connection.transport === "memory"),
      admissionRefusal: (principal, connection) => admissionRefusal(server().admissionPolicy(), principal, connection),
      join: (...who) => selfRegistration.join(...who),
      refused: (launchId, refusal) => selfRegistration.refused(launchId, refusal),
      hostSecretFor: (runtimeId, launchId) => {
        const plugin = directory.get(runtimeId);
        if (plugin === undefined) return "";
        // A launched program has known its secret from the start; another one may have been taken for it by mistake before.
        const ofLaunch = parts.nonces.hostSecretOf(launchId ?? plugin.launched?.launchId ?? "");
        plugin.hostSecret = ofLaunch ?? plugin.hostSecret ?? randomBase64Url(32);
        return plugin.hostSecret;
      },
      renew: (runtimeId) => identities.rotate(runtimeId),
    },
    registry: {
      registry,
      clock: options.clock,
      register: (runtimeId, service, peer) => selfRegistration.register(runtimeId, service, peer),
      unregister: (runtimeId, registrationId) => selfRegistration.unregister(runtimeId, registrationId),
      discovered: (runtimeId, type) => {
        observe(runtimeId, type);
        directory.reactions.discovered(runtimeId, type);
      },
      watchOpened: (runtimeId, type) => {
        observe(runtimeId, type);
        const closed = watches.open(runtimeId);
        const ended = directory.reactions.watchOpened(runtimeId, type);
        return () => {
          closed();
          ended();
        };
      },
      goneSignal: (runtimeId) => directory.get(runtimeId)?.gone ?? AbortSignal.abort(),
      revision: () => catalog.revision,
    },
    lifecycle: {
      report: (runtimeId, verdict, reason, unavailable) => {
        const plugin = seen(runtimeId);
        if (plugin !== undefined) directory.report(plugin, verdict, reason, unavailable);
      },
    },
    health: {
      registry,
      watchOpened: (caller) => watches.open(caller),
      isServing: () => !lifecycle.isStopping,
      stopped: parts.stopped,
    },
    broker: {
      allowAnonymous: options.grants.allowAnonymous,
      hostUrl: (connection) => server().urlOver(connection),
      request: (request) => {
        if (request.caller.kind === "plugin") seen(request.caller.runtimeId);
        return broker.request(request);
      },
    },
    admin: parts.admin,
  });
}
