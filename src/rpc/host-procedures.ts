import type { DescService } from "@bufbuild/protobuf";
import { createContextValues, type ServiceImpl } from "@connectrpc/connect";
import { PlatformService } from "../gen/connectplugin/admin/v1/platform_pb.js";
import { HealthService } from "../gen/connectplugin/health/v1/health_pb.js";
import { CapabilityBroker } from "../gen/connectplugin/v1/broker_pb.js";
import { HandshakeService } from "../gen/connectplugin/v1/handshake_pb.js";
import { PluginLifecycle } from "../gen/connectplugin/v1/lifecycle_pb.js";
import { ServiceRegistry as WireRegistry } from "../gen/connectplugin/v1/registry_pb.js";
import { Health } from "../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { type ConnectHandler, connectHandler } from "../http/connect-handler.js";
import type { ServerExchange } from "../http/exchange.js";
import type { Authentication } from "../identity/authenticate.js";
import { type AdminPort, adminRpc } from "./admin-service.js";
import { type BrokerPort, brokerRpc } from "./broker-service.js";
import { callerKey, errorInterceptor } from "./caller.js";
import { DescriptorIndex } from "./descriptor-index.js";
import { type HandshakePort, handshakeRpc } from "./handshake-service.js";
import { grpcHealthRpc, type HealthPort, healthRpc } from "./health-services.js";
import { type LifecyclePort, lifecycleRpc } from "./lifecycle-service.js";
import { reflectionAlphaRpc, reflectionRpc } from "./reflection-service.js";
import { type RegistryPort, registryRpc } from "./registry-service.js";

/** Largest message that a plugin may send to the host's own procedures. */
const maxMessageBytes = 1024 * 1024;

/** What the host's procedures work on. */
export interface HostProcedureParts {
  readonly handshake: HandshakePort;
  readonly registry: RegistryPort;
  readonly lifecycle: LifecyclePort;
  readonly health: HealthPort;
  readonly broker: BrokerPort;
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
      const served: DescService[] = [];
      const serve = <S extends DescService>(service: S, implementation: ServiceImpl<S>): void => {
        served.push(service);
        router.service(service, implementation);
      };
      serve(HandshakeService, handshakeRpc(parts.handshake));
      serve(WireRegistry, registryRpc(parts.registry));
      serve(PluginLifecycle, lifecycleRpc(parts.lifecycle));
      serve(CapabilityBroker, brokerRpc(parts.broker));
      serve(HealthService, healthRpc(parts.health));
      serve(Health, grpcHealthRpc(parts.health));
      if (parts.admin !== undefined) serve(PlatformService, adminRpc(parts.admin));
      // Made when the first tool asks: most hosts never meet one.
      let index: DescriptorIndex | undefined;
      const reflection = {
        index: () => (index ??= new DescriptorIndex(served)),
        stopped: parts.health.stopped,
      };
      serve(ServerReflection, reflectionRpc(reflection));
      serve(ServerReflectionAlpha, reflectionAlphaRpc(reflection));
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
