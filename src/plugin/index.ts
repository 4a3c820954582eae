// The plugin SDK: everything that a plugin needs, and nothing of the host.
export { type ErrorCode, errorCodes, PluginHostError } from "../errors.js";
export type { Clock, Timer } from "../internal/clock.js";
export type { HostedModule, ModuleEnvironment, RunningModule } from "../link/hosted-module.js";
export type { HealthVerdict } from "../model/health.js";
export type { BackOffOptions } from "./back-off.js";
export { type DefinedPlugin, definePlugin } from "./define-plugin.js";
export type { HandshakeSettings } from "./host-handshake.js";
export type {
  ClientName,
  ClientOf,
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
} from "./plugin-definition.js";
export type { PluginEvent, PluginEventListener } from "./plugin-event.js";
export type { ServeOptions } from "./serve-options.js";
export { type ServedPlugin, servePlugin } from "./serve-plugin.js";
