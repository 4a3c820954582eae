import type { ServiceDependency } from "../model/declarations.js";

/** A service type in one version, as a plugin offers it. A `ServiceDeclaration` or a `Registration` is one, too. */
export interface ProvidedService {
  readonly type: string;
  /** Semantic version. Anything else satisfies only those who take any version. */
  readonly version: string;
}

/** A plugin as the dependency graph sees it. The graph keeps the object and never writes into it. */
export interface GraphNode {
  /** Runtime id. */
  readonly id: string;
  /** What people call the plugin, for messages. @default the id */
  readonly name?: string | undefined;
  /** May hold several versions of one type. */
  readonly provides: readonly ProvidedService[];
  readonly requires: readonly ServiceDependency[];
}
