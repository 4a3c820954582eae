export type { CapabilityOffer, CapabilityRequest } from "./capabilities/capability-offer.js";
export type { OfferedCapability } from "./capability-front.js";
export { type ErrorCode, errorCodes, PluginHostError, type PluginHostErrorOptions } from "./errors.js";
export type { HostClientOptions } from "./host-client.js";
export type { ListenOptions } from "./host-server.js";
export type { FetchFunction } from "./http/fetch-handler.js";
export type { ListenTarget } from "./http/one-port-server.js";
export type { ServerTlsOptions } from "./http/server-tls.js";
export type { KeyPair, Pem } from "./http/tls-material.js";
export { findPlugin, importPlugin } from "./import-plugin.js";
export type { Clock, Timer } from "./internal/clock.js";
export type { CustomLaunch, CustomLauncher, CustomPlugin } from "./launch/custom-launcher.js";
export type { SweptProgram } from "./launch/launch-state.js";
export type { ProcessSource } from "./launch/process-source.js";
export type { WorkerLimits, WorkerSource } from "./launch/worker-source.js";
export type { Impact } from "./lifecycle/ports.js";
export type { HostedModule, ModuleEnvironment, RunningModule } from "./link/hosted-module.js";
export type { LinkOptions } from "./link-options.js";
export type { CallEvent, CallProtocol } from "./model/call-event.js";
export type { PluginOrigin, PluginPhase, PluginRecord, Registration, Revision, RuntimeId } from "./model/catalog.js";
export type { PluginDeclaration, ServiceDeclaration, ServiceDependency } from "./model/declarations.js";
export type { Health, HealthCause, HealthState, HealthVerdict, TrafficState } from "./model/health.js";
export type { PermissionPolicy } from "./model/permissions.js";
export type { OutputEvent, PlatformEvents, StepEvent } from "./model/platform-events.js";
export type { Principal } from "./model/principal.js";
export type { Importance, Supervision } from "./model/supervision.js";
export type {
  CallToAuthorize,
  GrantOptions,
  HealthOptions,
  IngressCheck,
  IngressOptions,
  PlatformOptions,
} from "./options.js";
export type { OperationToPlan, Plan } from "./plan.js";
export { Platform, type RemovePluginOptions, type ReplacePluginSpec } from "./platform.js";
export type { DeclaredPlugin, PluginSource, PluginSpec } from "./plugin-source.js";
export type { PluginView } from "./plugin-view.js";
export { ServiceRegistry } from "./registry/service-registry.js";
export { ServiceRouter } from "./router/router.js";
export type { UpstreamTlsOptions } from "./router/upstream-tls.js";
export type { RestartOptions, SupervisedSpec, SupervisionOptions } from "./supervision-options.js";
