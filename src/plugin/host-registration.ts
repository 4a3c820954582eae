import { PluginLifecycle } from "../gen/connectplugin/v1/lifecycle_pb.js";
import { ServiceRegistry } from "../gen/connectplugin/v1/registry_pb.js";
import { credentialHeaders, type HostAccess } from "./host-access.js";
import { hostClient } from "./host-rpc.js";
import { type OwnHealthReport, toWireHealth } from "./own-health.js";
import type { ResolvedService } from "./resolve-definition.js";

/** Bounds of one call. */
export interface CallLimits {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** Registers all services, one after the other, and returns the registration ids. */
export async function registerServices(
  { connection, identity }: HostAccess,
  services: readonly ResolvedService[],
  metadata: Readonly<Record<string, string>>,
  limits: CallLimits,
): Promise<readonly string[]> {
  const registry = hostClient(ServiceRegistry, connection, credentialHeaders(identity));
  const registrationIds: string[] = [];
  for (const service of services) {
    const { registrationId } = await registry.registerService(
      {
        serviceType: service.type,
        version: service.version,
        endpointPath: service.path,
        metadata: { ...service.metadata, ...metadata },
      },
      limits,
    );
    registrationIds.push(registrationId);
  }
  return registrationIds;
}

/** Takes registrations back, all at once; what fails is left to the host, which sees the plugin go. */
export async function unregisterServices(
  { connection, identity }: HostAccess,
  registrationIds: readonly string[],
  limits: CallLimits,
): Promise<void> {
  const registry = hostClient(ServiceRegistry, connection, credentialHeaders(identity));
  await Promise.allSettled(
    registrationIds.map((registrationId) => registry.unregisterService({ registrationId }, limits)),
  );
}

/** Tells the host how the plugin is. */
export async function reportHealth(access: HostAccess, health: OwnHealthReport, limits: CallLimits): Promise<void> {
  const lifecycle = hostClient(PluginLifecycle, access.connection, credentialHeaders(access.identity));
  await lifecycle.reportHealth(toWireHealth(health), limits);
}
