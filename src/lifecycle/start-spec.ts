import type { PluginDeclaration } from "../model/declarations.js";
import type { PluginLauncher } from "../model/launch.js";
import type { StepLimits } from "./limits.js";
import type { PluginDirectory } from "./plugin-directory.js";
import type { LifecyclePorts } from "./ports.js";
import type { SelfRegistration } from "./self-registration.js";
import type { StopBudget } from "./stop-budget.js";
import type { SupervisionSpec } from "./supervision-spec.js";
import type { Supervisor } from "./supervisor.js";

/** What to start. */
export interface StartSpec {
  readonly launcher: PluginLauncher;
  /** What the caller says of the plugin before it runs; already checked. */
  readonly declares: PluginDeclaration | undefined;
  readonly limits: StepLimits;
  /** @default it is not started again, and required */
  readonly supervision?: SupervisionSpec;
}

/** Only what says how to start, for who keeps it as long as the plugin: an operation knows more, the plugin that goes for one. */
export const startSpecOf = ({ launcher, declares, limits, supervision }: StartSpec): StartSpec => ({
  launcher,
  declares,
  limits,
  ...(supervision && { supervision }),
});

/** The parts of the host that starting a plugin works on. */
export interface StartContext {
  readonly ports: LifecyclePorts;
  readonly directory: PluginDirectory;
  readonly selfRegistration: SelfRegistration;
  readonly stopBudget: StopBudget;
  readonly supervisor: Supervisor;
}
