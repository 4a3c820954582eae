/** A service that a plugin says it provides. */
export interface ServiceDeclaration {
  /** Service type, such as `logger`; see `checkName`. */
  readonly type: string;
  /** Semantic version. */
  readonly version: string;
  /** Where the service answers on the plugin, with a slash at both ends. `/` if the plugin did not say. */
  readonly path: string;
}

/** A service that a plugin says it needs. */
export interface ServiceDependency {
  readonly type: string;
  /** A complete `x.y.z` is a minimum, anything else an npm range; empty means any version. */
  readonly minVersion: string;
  /** Whether the plugin cannot start without it. Optional dependencies never block anything. */
  readonly required: boolean;
  /** Whether the plugin wants to be told of changes. */
  readonly watch: boolean;
  /**
   * The methods that the plugin calls: `Method`, `pkg.Service/Method`, or a path that ends with a slash for all that is below
   * it; see `isDeclaredMethod`. Empty stands for all.
   *
   * @default all
   */
  readonly methods?: readonly string[];
  /** `declared` by the plugin, or `observed` by the host in what the plugin discovered, watched or called. */
  readonly source: "declared" | "observed";
}

/** What a plugin says of itself. */
export interface PluginDeclaration {
  /** The plugin's name for itself, such as `logger-plugin`; several plugins may have the same. */
  readonly selfId: string;
  /** Semantic version; empty if the plugin did not say. */
  readonly selfVersion: string;
  readonly provides: readonly ServiceDeclaration[];
  readonly requires: readonly ServiceDependency[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Lists that are not the plugin's own word, so that it is not held to them. @default none: the lists are all that there is */
  readonly silentOn?: readonly ("provides" | "requires")[];
}
