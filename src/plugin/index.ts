// The plugin SDK: everything that a plugin needs, and nothing of the host.
export { type ErrorCode, errorCodes, PluginHostError } from "../errors.js";
export type { BackOffOptions } from "../internal/back-off.js";
export type { Clock, Timer } from "../internal/clock.js";
export type {
  HostedModule,
  ModuleEnvironment,
  RunningInWorker,
  RunningModule,
  WorkerEnvironment,
  WorkerModule,
} from "../link/hosted-module.js";
export type { HealthVerdict } from "../model/health.js";
export {
  type CallBuffer,
  type CallBufferOptions,
  type CallBufferPlugin,
  type CallBufferState,
  callBuffer,
  type DropReason,
} from "./call-buffer.js";
export { type CalledWith, callerOf, type ServiceCaller } from "./caller.js";
export { type DefinedPlugin, definePlugin } from "./define-plugin.js";
export type { HandshakeSettings } from "./host-handshake.js";
export type { CircuitState } from "./interceptors/circuit.js";
export type { ResilienceOptions } from "./interceptors/resilience.js";
export type {
  ClientName,
  ClientOf,
  Degradation,
  DependencyState,
  FetchHandler,
  ImplementationOf,
  Implementations,
  NodeHandler,
  PluginContext,
  PluginOptions,
  ProvidedConnectService,
  ProvidedHttpService,
  Provides,
  RequiredService,
  Requires,
  ServiceOf,
  WhenLost,
} from "./plugin-definition.js";
export type { PluginEvent, PluginEventListener } from "./plugin-event.js";
export type { ServeOptions } from "./serve-options.js";
export { type ServedPlugin, servePlugin } from "./serve-plugin.js";
export type { ConnectServerOptions } from "./server-options.js";
