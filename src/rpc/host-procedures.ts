import { createContextValues } from "@connectrpc/connect";
import { PlatformService } from "../gen/connectplugin/admin/v1/platform_pb.js";
import { HealthService } from "../gen/connectplugin/health/v1/health_pb.js";
import { HandshakeService } from "../gen/connectplugin/v1/handshake_pb.js";
import { PluginLifecycle } from "../gen/connectplugin/v1/lifecycle_pb.js";
import { ServiceRegistry as WireRegistry } from "../gen/connectplugin/v1/registry_pb.js";
import { Health } from "../gen/grpc/health/v1/health_pb.js";
import { type ConnectHandler, connectHandler } from "../http/connect-handler.js";
import type { ServerExchange } from "../http/exchange.js";
import type { Authentication } from "../identity/authenticate.js";
import { type AdminPort, adminRpc } from "./admin-service.js";
import { callerKey, errorInterceptor } from "./caller.js";
import { type HandshakePort, handshakeRpc } from "./handshake-service.js";
import { grpcHealthRpc, type HealthPort, healthRpc } from "./health-services.js";
import { type LifecyclePort, lifecycleRpc } from "./lifecycle-service.js";
import { type RegistryPort, registryRpc } from "./registry-service.js";

/** Largest message that a plugin may send to the host's own procedures. */
const maxMessageBytes = 1024 * 1024;

/** What the host's procedures work on. */
export interface HostProcedureParts {
  readonly handshake: HandshakePort;
  readonly registry: RegistryPort;
  readonly lifecycle: LifecyclePort;
  readonly health: HealthPort;
  /** Undefined while the admin service is off. */
  readonly admin: AdminPort | undefined;
  readonly callerOf: (exchange: ServerExchange) => Authentication;
}

/** All procedures that the host itself serves. */
export const hostProcedures = (parts: HostProcedureParts): ConnectHandler =>
  connectHandler({
    interceptors: [errorInterceptor],
    readMaxBytes: maxMessageBytes,
    contextValues: (exchange) =>
      createContextValues().set(callerKey, {
        authentication: parts.callerOf(exchange),
        connection: exchange.head.connection,
      }),
    routes: (router) => {
      router.service(HandshakeService, handshakeRpc(parts.handshake));
      router.service(WireRegistry, registryRpc(parts.registry));
      router.service(PluginLifecycle, lifecycleRpc(parts.lifecycle));
      router.service(HealthService, healthRpc(parts.health));
      router.service(Health, grpcHealthRpc(parts.health));
      if (parts.admin !== undefined) router.service(PlatformService, adminRpc(parts.admin));
    },
  });

/** The admin service alone, for a listener of its own: whoever reaches it is an operator, or must prove to be one. */
export const adminProcedures = (
  admin: AdminPort,
  authenticationOf: (exchange: ServerExchange) => Authentication,
): ConnectHandler =>
  connectHandler({
    interceptors: [errorInterceptor],
    readMaxBytes: maxMessageBytes,
    contextValues: (exchange) =>
      createContextValues().set(callerKey, {
        authentication: authenticationOf(exchange),
        connection: exchange.head.connection,
      }),
    routes: (router) => router.service(PlatformService, adminRpc(admin)),
  });
